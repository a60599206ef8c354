"""Waiting: come back when a job has ended, or when patience has."""

import time
from http import HTTPStatus

from fastapi import Response
from starlette.concurrency import run_in_threadpool

from fleetjobs.api.describing import document_of, tag
from fleetjobs.api.desk import Desk
from fleetjobs.api.job_documents import JobDocument
from fleetjobs.api.parameters import Terms
from fleetjobs.control.submissions import Submission
from fleetjobs.jobs import Job
from fleetjobs.names import JobId


async def ended(desk: Desk, job: JobId, *, org: str | None, within: float) -> Job:
    """The job as soon as it has ended, or as it stands after that many seconds.

    Raises NotFound. Returns early when the server is to end.
    """
    deadline = time.monotonic() + within
    with desk.watch.follow(job) as changed:
        while True:
            found = await run_in_threadpool(desk.job, job, org=org)
            left = deadline - time.monotonic()
            if found.state.is_terminal or left <= 0 or desk.watch.is_ending:
                return found
            await desk.watch.wait(changed, within=left)


async def answer(
    desk: Desk, response: Response, submission: Submission, document: JobDocument, terms: Terms
) -> JobDocument:
    """What was handed in, or how it ended within the caller's patience."""
    job = submission.job
    if terms.patience and not job.state.is_terminal:
        job = await ended(desk, job.id, org=job.org, within=terms.patience)
        document = await run_in_threadpool(document_of, desk, job)
        response.headers["Preference-Applied"] = f"wait={terms.patience:.0f}"
    if job.state.is_terminal or not submission.created:
        response.status_code = HTTPStatus.OK
    response.headers["Location"] = f"/api/v1/jobs/{job.id}"
    tag(response, job)
    return document
