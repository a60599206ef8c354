"""Describing: jobs as documents, with what is told of them in other tables."""

from collections.abc import Sequence

from fastapi import Response
from sqlalchemy import Connection

from fleetjobs.api.desk import Desk
from fleetjobs.api.job_documents import JobDocument
from fleetjobs.control.submissions import Submission
from fleetjobs.jobs import Job
from fleetjobs.store.counts import count_pending
from fleetjobs.store.dependencies import dependencies_of
from fleetjobs.store.events import why_ended
from fleetjobs.store.followers import children_of
from fleetjobs.store.templates import labels_of

CHILDREN_MOST = 1000  #: ids of them that are shown with one job


def describe(connection: Connection, jobs: Sequence[Job]) -> list[JobDocument]:
    """The jobs with what they wait for, and what their nodes have not confirmed."""
    ids = [job.id for job in jobs]
    pending = count_pending(connection, ids)
    after = dependencies_of(connection, ids)
    documents = [
        JobDocument.of(job, pending.get(job.id, {}), after.get(job.id, ())) for job in jobs
    ]
    vain = {job.id for job in jobs if job.state.is_terminal and not job.tally.total()}
    for job, why in why_ended(connection, vain).items():
        at = ids.index(job)
        documents[at] = documents[at].model_copy(update={"why": why})
    labels = labels_of(connection, {job.template for job in jobs if job.template is not None})
    return [
        document.model_copy(update={"template_label": labels.get(document.template)})
        if document.template is not None
        else document
        for document in documents
    ]


def describe_one(connection: Connection, job: Job) -> JobDocument:
    """The job with all of that, and with its children."""
    document = describe(connection, [job])[0]
    return document.model_copy(
        update={"children": children_of(connection, job, limit=CHILDREN_MOST)}
    )


def describe_new(job: Job) -> JobDocument:
    """A job that was accepted a moment ago and waits for no other: no other table tells of it."""
    return JobDocument.of(job).model_copy(update={"children": []})


def document_of(desk: Desk, job: Job) -> JobDocument:
    """The job with all of that."""
    with desk.database.reading() as connection:
        return describe_one(connection, job)


def warned(desk: Desk, submission: Submission) -> JobDocument:
    """The job that was handed in, with all of that and with what stands in its way."""
    found = document_of(desk, submission.job)
    return found.model_copy(update={"warnings": list(submission.warnings)})


def tag(response: Response, job: Job) -> None:
    """Say which version of the job is shown: an edit names it."""
    response.headers["ETag"] = f'"{job.version}"'
