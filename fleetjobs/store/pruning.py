"""Pruning: forget what nobody will read.

Never what is live, what waits for a person, what a live job waits or waited for, or follows.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Select, delete, exists, func, select, update

from fleetjobs.jobs import Kind
from fleetjobs.names import JobId
from fleetjobs.states import State
from fleetjobs.store.dependencies import is_named_by_live
from fleetjobs.store.schema.jobs import jobs
from fleetjobs.store.schema.records import events, logs
from fleetjobs.store.schema.runs import attempts


def _over(before: datetime) -> tuple[ColumnElement[bool], ...]:
    return jobs.c.ended_at < before, ~jobs.c.attention


def _goes_on() -> ColumnElement[bool]:
    """Of `jobs`: whether a part of it, or what followed it, is live."""
    part = jobs.alias()
    return exists().where(part.c.plan == jobs.c.id, part.c.ended_at.is_(None))


def old_jobs(connection: Connection, before: datetime, limit: int) -> list[JobId]:
    """Jobs that ended before then and may be forgotten, the oldest first; no parts of others."""
    whole = jobs.c.plan.is_(None)
    query = select(jobs.c.id).where(*_over(before), whole, ~is_named_by_live(), ~_goes_on())
    return list(connection.execute(query.order_by(jobs.c.created_at).limit(limit)).scalars())


def forget_jobs(connection: Connection, ids: Sequence[JobId]) -> None:
    """Drop the jobs with all that belongs to them, their parts and what followed them too."""
    of_plan = events.c.plan.in_(ids) | events.c.job.in_(_parts(ids))
    connection.execute(delete(events).where(events.c.job.in_(ids) | of_plan))
    connection.execute(delete(jobs).where(jobs.c.id.in_(ids) | jobs.c.plan.in_(ids)))


def _parts(ids: Sequence[JobId]) -> Select[tuple[str]]:
    return select(jobs.c.id).where(jobs.c.plan.in_(ids))


def old_legs(connection: Connection, before: datetime, limit: int) -> list[JobId]:
    """Plans that succeeded before then and still have legs, the oldest first."""
    part = jobs.alias()
    whole = jobs.c.kind == Kind.PLAN, jobs.c.state == State.SUCCEEDED
    has_legs = exists().where(part.c.plan == jobs.c.id)
    query = select(jobs.c.id).where(*_over(before), *whole, has_legs)
    query = query.where(~is_named_by_live(), ~_goes_on())
    return list(connection.execute(query.order_by(jobs.c.created_at).limit(limit)).scalars())


def forget_legs(connection: Connection, ids: Sequence[JobId]) -> None:
    """Drop the plans' legs with their runs; how many there were stays known. spec S4-12."""
    for plan in ids:
        legs = jobs.c.plan == plan, jobs.c.kind == Kind.ACTION, jobs.c.undoes.is_(None)
        counted = select(jobs.c.state, func.count()).where(*legs).group_by(jobs.c.state)
        tally = {row[0]: row[1] for row in connection.execute(counted)}
        summary = {"total": sum(tally.values()), "succeeded": tally.get(State.SUCCEEDED, 0)}
        connection.execute(update(jobs).where(jobs.c.id == plan).values(leg_summary=summary))
        connection.execute(delete(jobs).where(jobs.c.plan == plan))


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
