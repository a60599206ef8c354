"""Waiting: come back when a job has ended, or when patience has."""

import time

from starlette.concurrency import run_in_threadpool

from fleetjobs.api.desk import Desk
from fleetjobs.jobs import Job, JobId


async def ended(desk: Desk, job: JobId, *, org: str, within: float) -> Job:
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
