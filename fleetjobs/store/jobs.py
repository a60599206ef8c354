"""Jobs in the database."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Executable,
    RowMapping,
    Select,
    and_,
    bindparam,
    exists,
    insert,
    literal,
    select,
    text,
    tuple_,
)

from fleetjobs.jobs import Job, JobId, Kind, Link, NodeId
from fleetjobs.rollouts import Course, turns
from fleetjobs.signing import account_key_id
from fleetjobs.splay import splay_of
from fleetjobs.states import Reason, State, Tally, WaitReason
from fleetjobs.store import dialect
from fleetjobs.store.events import add_events, event_row
from fleetjobs.store.pages import Page, read_time_cursor, time_cursor
from fleetjobs.store.schema.jobs import TOP, jobs
from fleetjobs.store.schema.runs import runs
from fleetjobs.store.standing import due_at
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


def insert_job(
    connection: Connection,
    job: Job,
    nodes: Sequence[NodeId],
    *,
    meaning: str,
    dispatch_at: datetime | None,
) -> bool:
    """Keep a new job, its runs and its first event; False if there is a job of that id.

    The runs stand as the job does, and are due for hand-over at `dispatch_at`; None: not yet.
    """
    row = job_columns(job, meaning)
    statement = _keeping(frozenset(row), sqlite=dialect.is_sqlite(connection))
    if connection.execute(statement, row).first() is None:
        return False
    insert_runs(connection, job, nodes, dispatch_at)
    add_events(connection, [_accepted(job, len(nodes))])
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """A new job that waits for nothing and whose runs all stand as it does."""

    job: Job
    nodes: Sequence[NodeId]
    meaning: str
    dispatch_at: datetime | None


def insert_jobs(connection: Connection, found: Sequence[Plain]) -> None:
    """Keep many plain jobs as `insert_job` keeps one; those whose id is taken are left out."""
    rows = [job_columns(each.job, each.meaning) for each in found]
    if not rows:
        return
    statement = dialect.insert(connection, jobs).on_conflict_do_nothing().returning(jobs.c.id)
    kept = set(connection.execute(statement, rows).scalars())
    new = [each for each in found if each.job.id in kept]
    new_runs = [
        run_columns(each.job, each.dispatch_at) | {"node": node}
        for each in new
        for node in each.nodes
    ]
    if new_runs:
        connection.execute(insert(runs), new_runs)
    add_events(connection, [_accepted(each.job, len(each.nodes)) for each in new])


def _accepted(job: Job, nodes: int) -> dict[str, Any]:
    return event_row(
        at=job.created_at,
        org=job.org,
        job=job.id,
        kind="job.accepted",
        actor=account_key_id(job.caller),
        new=job.state,
        detail={"nodes": nodes},
    )


_COLUMNS = tuple(jobs.c.keys())


@cache
def _keeping(columns: frozenset[str], *, sqlite: bool) -> Executable:
    values: dict[str, Any] = {name: bindparam(name) for name in sorted(columns)}
    statement = dialect.inserting(jobs, sqlite=sqlite).values(values).on_conflict_do_nothing()
    return statement.returning(jobs.c.id)


def job_columns(job: Job, meaning: str) -> dict[str, Any]:
    """The job as its row."""
    row = {name: getattr(job, name) for name in _COLUMNS if hasattr(job, name)}
    return row | {
        "meaning": meaning,
        "target": msgspec.to_builtins(job.target),
        "tally": dump_tally(job.tally),
        "needs": msgspec.to_builtins(job.needs) if job.needs else None,
        "rollout": dump_course(job.rollout),
        "irreversible": list(job.irreversible) or None,
    }


def insert_runs(
    connection: Connection, job: Job, nodes: Sequence[NodeId], dispatch_at: datetime | None
) -> None:
    """Runs that stand as the job does: by one statement, for they differ in the node alone.

    Those of a rollout one by one, for they stand where their batch does.
    """
    if job.rollout is not None:
        if nodes:
            connection.execute(insert(runs), rolled_runs(job, nodes, dispatch_at))
        return
    if job.splay_s and dispatch_at is not None:
        if nodes:
            connection.execute(insert(runs), splayed_runs(job, nodes))
        return
    alike = run_columns(job, dispatch_at)
    statement = _spreading(tuple(alike), sqlite=dialect.is_sqlite(connection))
    connection.execute(statement, alike | dialect.name_values(connection, nodes))


def run_columns(job: Job, dispatch_at: datetime | None) -> dict[str, Any]:
    """A run that stands as the job does, but for its node."""
    return {
        "job": job.id,
        "org": job.org,
        "state": job.state,
        "wait_reason": job.wait_reason,
        "attempt": 1,
        "statusmsg": "",
        "data": {},
        "stdout_size": 0,
        "stderr_size": 0,
        "dispatch_at": dispatch_at,
        "expire_at": job.start_before,
    }


def rolled_runs(
    job: Job, nodes: Sequence[NodeId], dispatch_at: datetime | None
) -> list[dict[str, Any]]:
    """The runs of a job that goes batch after batch, the nodes in their order."""
    first = run_columns(job, dispatch_at)
    rest = first
    if dispatch_at is not None:
        rest = first | {
            "state": State.WAITING,
            "wait_reason": WaitReason.ROLLOUT,
            "dispatch_at": None,
            "expire_at": job.start_before,
        }
    places = turns(job.rollout.sizes if job.rollout else (len(nodes),))
    return [
        (first if turn == 1 else rest) | {"node": node, "turn": turn}
        for node, turn in zip(nodes, places, strict=True)
    ]


def splayed_runs(job: Job, nodes: Sequence[NodeId]) -> list[dict[str, Any]]:
    """The runs of a job whose nodes begin spread over some time."""
    begin = max(job.created_at, job.not_before or job.created_at)
    name = job.schedule or job.id
    starts = {node: begin + splay_of(name, node, job.splay_s) for node in nodes}
    return [
        run_columns(job, due_at(start, job.created_at)) | {"node": node, "not_before": start}
        for node, start in starts.items()
    ]


@cache
def _spreading(columns: tuple[str, ...], *, sqlite: bool) -> Executable:
    table = dialect.names(sqlite=sqlite)
    values = [bindparam(name, type_=runs.c[name].type) for name in columns]
    return insert(runs).from_select(["node", *columns], select(table.c.name, *values))


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
