"""Views: jobs in the words of others, for clients that know no more states than those."""

from collections.abc import Mapping
from enum import StrEnum

from starlette.responses import JSONResponse

from fleetjobs.api.documents import Page
from fleetjobs.api.job_documents import JobDocument
from fleetjobs.states import State


class View(StrEnum):
    """In whose words a job's `state` is told."""

    PEP3 = "pep3"


class Pep3State(StrEnum):
    """Where a job stands in the words of OpenShift's PEP 3."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETE = "complete"
    FAILED = "failed"


class ViewedJob(JobDocument):
    """A job whose state is told in those words."""

    state: Pep3State  # type: ignore[assignment]  # a document of its own, never a JobDocument


_PEP3: Mapping[State, Pep3State] = {
    State.SCHEDULED: Pep3State.QUEUED,
    State.WAITING: Pep3State.QUEUED,  # once it has started: in_progress
    State.QUEUED: Pep3State.QUEUED,
    State.PAUSED: Pep3State.QUEUED,  # likewise
    State.RUNNING: Pep3State.IN_PROGRESS,
    State.CANCELLING: Pep3State.IN_PROGRESS,
    State.REVERTING: Pep3State.IN_PROGRESS,
    State.SUCCEEDED: Pep3State.COMPLETE,
    State.FAILED: Pep3State.FAILED,
    State.CANCELLED: Pep3State.FAILED,
    State.SKIPPED: Pep3State.FAILED,
    State.EXPIRED: Pep3State.FAILED,
}


def pep3(document: JobDocument) -> Pep3State:
    """The job's state in PEP 3's words."""
    word = _PEP3[document.state]
    if word == Pep3State.QUEUED and document.started_at is not None:
        return Pep3State.IN_PROGRESS
    return word


def viewed(document: JobDocument) -> JSONResponse:
    """The job with its state in PEP 3's words."""
    return JSONResponse(_document(document), headers={"ETag": f'"{document.version}"'})


def viewed_page(page: Page[JobDocument]) -> JSONResponse:
    """A page of jobs likewise."""
    return JSONResponse({"items": [_document(one) for one in page.items], "next": page.next})


def _document(document: JobDocument) -> dict[str, object]:
    return document.model_dump(mode="json") | {"state": pep3(document)}
