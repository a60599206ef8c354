"""Keeping: a weighed request becomes a job, with its runs and what it waits for."""

import dataclasses
from collections import Counter
from datetime import datetime

from sqlalchemy import Connection

from fleetjobs.control.acceptance import Weighed, has_to_wait, meaning_of
from fleetjobs.jobs import Job
from fleetjobs.messages import Request
from fleetjobs.states import State, WaitReason
from fleetjobs.store.bells import CHANGES, DISPATCH
from fleetjobs.store.database import ring
from fleetjobs.store.dependencies import set_dependencies
from fleetjobs.store.jobs import get_job, insert_job
from fleetjobs.store.judging import settle, skip_in_vain
from fleetjobs.store.ledger import Ledger
from fleetjobs.store.standing import SOON, due_at


def keep_job(
    connection: Connection, request: Request, weighed: Weighed, now: datetime
) -> Job | None:
    """Keep the job, its runs, and what it waits for; None if its id is taken."""
    job, nodes = weighed.job, weighed.nodes
    due: datetime | None = due_at(job.not_before, now)
    if request.after and has_to_wait(connection, request, job.org):
        job, due = _blocked(job), None
    if not insert_job(connection, job, nodes, meaning=meaning_of(request), dispatch_at=due):
        return None
    if request.after:
        set_dependencies(connection, job.id, request.after)
        ledger = Ledger.of_jobs(connection, [job.id], now)
        skip_in_vain(ledger, job.id)
        settle(ledger)
        job = get_job(connection, job.id, org=None) or job
    if due is not None and due <= now + SOON:
        ring(connection, DISPATCH)
    ring(connection, CHANGES, job.id)
    return job


def _blocked(job: Job) -> Job:
    """The job behind what it waits for."""
    return dataclasses.replace(
        job,
        state=State.WAITING,
        wait_reason=WaitReason.DEPENDENCY,
        tally=Counter({State.WAITING: job.tally.total()}),
        blocked=job.tally.total(),
    )
