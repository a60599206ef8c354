"""Keeping: a weighed request becomes a job, with its runs and what it waits for."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from fleetjobs.control.acceptance import Weighed, has_to_wait, meaning_of
from fleetjobs.jobs import Job
from fleetjobs.requests import Request
from fleetjobs.states import State, WaitReason
from fleetjobs.store.accepting import Plain, insert_job, insert_jobs
from fleetjobs.store.bells import CHANGES, DISPATCH, NEW
from fleetjobs.store.database import ring
from fleetjobs.store.dependencies import set_dependencies
from fleetjobs.store.jobs import get_job
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
    ring(connection, CHANGES, NEW)
    return job


def plain_of(request: Request, weighed: Weighed, now: datetime) -> Plain | None:
    """The job as one that can be kept with many others by `keep_plain`; None: it is not plain."""
    job = weighed.job
    if request.after or job.rollout is not None or job.splay_s:
        return None
    due = due_at(job.not_before, now)
    return Plain(job=job, nodes=weighed.nodes, meaning=meaning_of(request), dispatch_at=due)


def keep_plain(connection: Connection, found: Sequence[Plain], now: datetime) -> None:
    """Keep them all, by as many statements as for one."""
    insert_jobs(connection, found)
    if any(each.dispatch_at and each.dispatch_at <= now + SOON for each in found):
        ring(connection, DISPATCH)
    for each in found:
        ring(connection, CHANGES, each.job.id)


def _blocked(job: Job) -> Job:
    """The job behind what it waits for."""
    return dataclasses.replace(
        job,
        state=State.WAITING,
        wait_reason=WaitReason.DEPENDENCY,
        tally=Counter({State.WAITING: job.tally.total()}),
        blocked=job.tally.total(),
    )
