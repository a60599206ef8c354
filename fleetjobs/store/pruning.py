"""Pruning: forget what nobody will read.

Never what is live, what waits for a person, what a live job waits or waited for, or follows.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, delete, exists, select

from fleetjobs.jobs import JobId
from fleetjobs.store.dependencies import is_named_by_live
from fleetjobs.store.schema import attempts, events, jobs, logs


def _over(before: datetime) -> tuple[ColumnElement[bool], ...]:
    return jobs.c.ended_at < before, ~jobs.c.attention


def old_jobs(connection: Connection, before: datetime, limit: int) -> list[JobId]:
    """Jobs that ended before then and may be forgotten, the oldest first."""
    part = jobs.alias()
    goes_on = exists().where(part.c.plan == jobs.c.id, part.c.ended_at.is_(None))
    query = select(jobs.c.id).where(*_over(before), ~is_named_by_live(), ~goes_on)
    return list(connection.execute(query.order_by(jobs.c.created_at).limit(limit)).scalars())


def forget_jobs(connection: Connection, ids: Sequence[JobId]) -> None:
    """Drop the jobs with all that belongs to them."""
    connection.execute(delete(events).where(events.c.job.in_(ids)))
    connection.execute(delete(jobs).where(jobs.c.id.in_(ids)))


def old_logs(connection: Connection, before: datetime, limit: int) -> list[JobId]:
    """Jobs that ended before then and whose logs are still kept."""
    query = select(jobs.c.id).where(*_over(before), exists().where(logs.c.job == jobs.c.id))
    return list(connection.execute(query.order_by(jobs.c.created_at).limit(limit)).scalars())


def forget_logs(connection: Connection, ids: Sequence[JobId]) -> None:
    """Drop what the jobs' runs wrote; how much it was stays known."""
    connection.execute(delete(logs).where(logs.c.job.in_(ids)))


def forget_attempts(connection: Connection, before: datetime) -> int:
    """Drop attempts of ended jobs that were over before then, but for each run's last; how many."""
    ended = select(jobs.c.id).where(jobs.c.ended_at.is_not(None))
    old = delete(attempts).where(attempts.c.kept_at < before, attempts.c.job.in_(ended))
    return connection.execute(old).rowcount
