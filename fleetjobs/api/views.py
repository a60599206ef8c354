"""Views: jobs in the words of others, for clients that know no more states than those.

spec/semantics.md, One state machine: how foreign states map onto ours.
"""

from collections.abc import Mapping
from enum import StrEnum

from starlette.responses import JSONResponse

from fleetjobs.api.documents import JobDocument, Page
from fleetjobs.states import State


class View(StrEnum):
    """In whose words a job's `state` is told."""

    PEP3 = "pep3"  # OpenShift's PEP 3: queued, in_progress, complete, failed


QUEUED, IN_PROGRESS, COMPLETE, FAILED = "queued", "in_progress", "complete", "failed"
_PEP3: Mapping[State, str] = {
    State.SCHEDULED: QUEUED,
    State.WAITING: QUEUED,  # once it has started: in_progress
    State.QUEUED: QUEUED,
    State.PAUSED: QUEUED,  # likewise
    State.RUNNING: IN_PROGRESS,
    State.CANCELLING: IN_PROGRESS,
    State.REVERTING: IN_PROGRESS,
    State.SUCCEEDED: COMPLETE,
    State.FAILED: FAILED,
    State.CANCELLED: FAILED,
    State.SKIPPED: FAILED,
    State.EXPIRED: FAILED,
}


def pep3(document: JobDocument) -> str:
    """The job's state in PEP 3's words."""
    word = _PEP3[document.state]
    return IN_PROGRESS if word == QUEUED and document.started_at is not None else word


def viewed(document: JobDocument) -> JSONResponse:
    """The job with its state in PEP 3's words."""
    return JSONResponse(_document(document), headers={"ETag": f'"{document.version}"'})


def viewed_page(page: Page[JobDocument]) -> JSONResponse:
    """A page of jobs likewise."""
    return JSONResponse({"items": [_document(one) for one in page.items], "next": page.next})


def _document(document: JobDocument) -> dict[str, object]:
    return document.model_dump(mode="json") | {"state": pep3(document)}
