"""Jobs in the database: one, or a page of those that are wanted."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    and_,
    bindparam,
    exists,
    literal,
    select,
    text,
    tuple_,
)

from fleetjobs.jobs import Job, Kind, Link
from fleetjobs.names import JobId, NodeId
from fleetjobs.rollouts import Course
from fleetjobs.states import Reason, State, Tally
from fleetjobs.store.pages import Page, read_time_cursor, time_cursor
from fleetjobs.store.schema.jobs import TOP, jobs
from fleetjobs.store.schema.runs import runs
from fleetjobs.targets import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Which jobs are wanted; all parts must hold, an empty part always does."""

    org: str | None = None  # None: every org's; only for those who may see them
    states: Sequence[State] = ()
    agent: str | None = None
    action: str | None = None
    caller: str | None = None
    node: NodeId | None = None  # it has a run there
    ids: Sequence[JobId] = ()
    since: datetime | None = None  # created then or later
    until: datetime | None = None  # created before
    attention: bool | None = None
    rerun_of: JobId | None = None
    schedule: str | None = None  # the id of the one that made it
    templates: Sequence[str] | None = None  # the ids of those it may be made from
    reason: Reason | None = None
    parent: JobId | None = None  # it is a leg or group directly in there
    plan: JobId | None = None  # it is a leg or group somewhere in there
    kinds: Sequence[Kind] = ()
    top: bool = False  # no leg and no group


def get_job(connection: Connection, job: JobId, *, org: str | None) -> Job | None:
    """The job; None if there is none, or it is not that org's. `org` None: whosever it is."""
    row = connection.execute(_GETTING, {"id": job}).mappings().one_or_none()
    return None if row is None or org not in {None, row["org"]} else read_job(row)


_GETTING = select(jobs).where(jobs.c.id == bindparam("id"))


def job_meaning(connection: Connection, job: JobId) -> tuple[str, str] | None:
    """The org and the meaning under which the id was taken; None if it was not."""
    row = connection.execute(_MEANING, {"id": job}).one_or_none()
    return None if row is None else (row.org, row.meaning)


_MEANING = select(jobs.c.org, jobs.c.meaning).where(jobs.c.id == bindparam("id"))


def read_sealed(connection: Connection, job: JobId) -> str | None:
    """What its caller handed in, as it was signed; None if there is no such job."""
    return connection.execute(_SEALED, {"id": job}).scalar_one_or_none()


_SEALED = select(jobs.c.sealed).where(jobs.c.id == bindparam("id"))


def list_jobs(
    connection: Connection,
    wanted: JobFilter,
    *,
    cursor: str | None = None,
    limit: int,
    descending: bool = True,
) -> Page[Job]:
    """Jobs by time of creation, newest first unless told otherwise. Raises InvalidDocument.

    Each state is asked for by itself, along its own index: together they would be found by
    looking through all jobs, and the few live ones lie far apart in a long history.
    """
    query = select(jobs).where(*_conditions(wanted)).limit(limit + 1)
    place = (jobs.c.created_at, jobs.c.id)
    query = query.order_by(*(column.desc() if descending else column for column in place))
    if cursor is not None:
        query = _behind(query, cursor, descending=descending)
    states = set(wanted.states)
    queries = [query.where(jobs.c.state == state) for state in states] if states else [query]
    rows = [row for each in queries for row in connection.execute(each).mappings()]
    rows.sort(key=lambda row: (row["created_at"], row["id"]), reverse=descending)
    items = [read_job(row) for row in rows[:limit]]
    more = len(rows) > limit
    return Page(items, time_cursor(items[-1].created_at, items[-1].id) if more else None)


def _behind(query: Select[Any], cursor: str, *, descending: bool) -> Select[Any]:
    at, name = read_time_cursor(cursor)
    here = tuple_(jobs.c.created_at, jobs.c.id)
    there = tuple_(literal(at, jobs.c.created_at.type), literal(name))
    return query.where(here < there if descending else here > there)


def _conditions(wanted: JobFilter) -> list[ColumnElement[bool]]:
    equal = {
        jobs.c.org: wanted.org,
        jobs.c.agent: wanted.agent,
        jobs.c.action: wanted.action,
        jobs.c.caller: wanted.caller,
        jobs.c.attention: wanted.attention,
        jobs.c.rerun_of: wanted.rerun_of,
        jobs.c.schedule: wanted.schedule,
        jobs.c.reason: wanted.reason,
        jobs.c.parent: wanted.parent,
        jobs.c.plan: wanted.plan,
    }
    conditions = [column == value for column, value in equal.items() if value is not None]
    if wanted.top:
        conditions.append(and_(text(f"jobs.{TOP}")))
    if wanted.templates is not None:
        conditions.append(jobs.c.template.in_(wanted.templates))
    if wanted.kinds:
        conditions.append(jobs.c.kind.in_(wanted.kinds))
    if wanted.ids:
        conditions.append(jobs.c.id.in_(wanted.ids))
    if wanted.since is not None:
        conditions.append(jobs.c.created_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(jobs.c.created_at < wanted.until)
    if wanted.node is not None:
        conditions.append(exists().where(runs.c.job == jobs.c.id, runs.c.node == wanted.node))
    return conditions


def read_job(row: RowMapping) -> Job:
    """The job of a row."""
    fields = {name: row[name] for name in Job.__slots__}
    fields["target"] = msgspec.convert(row["target"], Target)
    fields["tally"] = read_tally(row["tally"])
    fields["rollout"] = read_course(row["rollout"])
    fields["irreversible"] = tuple(row["irreversible"] or ())
    fields["needs"] = msgspec.convert(row["needs"] or (), tuple[Link, ...])
    return Job(**fields)


def dump_course(course: Course | None) -> dict[str, Any] | None:
    """How far a rollout has come, as JSON keeps it."""
    kept: dict[str, Any] | None = msgspec.to_builtins(course)
    return kept


def read_course(kept: dict[str, Any] | None) -> Course | None:
    """The course from what `dump_course` gave."""
    return None if kept is None else msgspec.convert(kept, Course)


def dump_tally(tally: Tally) -> dict[str, int]:
    """The tally as JSON keeps it."""
    return {str(state): count for state, count in tally.items() if count}


def read_tally(counts: dict[str, int]) -> Tally:
    """The tally from what `dump_tally` gave."""
    return Counter({State(state): count for state, count in counts.items()})
