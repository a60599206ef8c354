"""Plans in the database: kept whole, with all their legs, and read leg by leg."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Select,
    String,
    bindparam,
    delete,
    exists,
    func,
    insert,
    select,
)

from fleetjobs.errors import Conflict, InvalidDocument
from fleetjobs.jobs import Dependency, Job, Kind
from fleetjobs.names import JobId, NodeId
from fleetjobs.signing import account_key_id
from fleetjobs.states import Reason, State
from fleetjobs.store import dialect
from fleetjobs.store.accepting import insert_runs, job_columns, run_columns
from fleetjobs.store.bulk import write_rows
from fleetjobs.store.dependencies import add_links
from fleetjobs.store.detours import taken_back as detoured
from fleetjobs.store.events import add_events, event_row
from fleetjobs.store.jobs import read_job
from fleetjobs.store.judging import settle
from fleetjobs.store.ledger import Ended, Ledger
from fleetjobs.store.pages import Page
from fleetjobs.store.schema.jobs import jobs
from fleetjobs.store.schema.runs import runs

_ALARMS = ("dispatch_at", "order_at", "ask_at", "expire_at", "pending", "pending_at")
_ONE_BY_ONE = 50  #: a leg with more nodes than that has a statement of its own for its runs


Successes = Mapping[NodeId, JobId]  #: where an earlier leg succeeded, and which


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A plan, a group or a leg, as it is to be kept."""

    job: Job
    meaning: str
    nodes: Sequence[NodeId] = ()
    dispatch_at: datetime | None = None  # of its runs; None: something else has to end first
    done: Successes = field(default_factory=dict)  # runs that are taken over from an earlier plan


def insert_plan(
    connection: Connection,
    parts: Sequence[Part],
    links: Iterable[Dependency],
    *,
    rerun_of: JobId | None = None,
) -> bool:
    """Keep a plan, the first part, with the others; False if there is a job of its id.

    They are shown in this order. Raises Conflict if there is a job of another part's id: then
    nothing is kept.
    """
    plan = parts[0].job
    statement = dialect.insert(connection, jobs).on_conflict_do_nothing()
    rows = [job_columns(part.job, part.meaning) for part in parts]
    for place, row in enumerate(rows):
        row["position"] = place
    rows[0]["rerun_of"] = rerun_of
    if connection.execute(statement.values(rows[0]).returning(jobs.c.id)).first() is None:
        return False
    ids = dialect.name_values(connection, [part.job.id for part in parts[1:]])
    taken = _listed(jobs.c.id, sqlite=dialect.is_sqlite(connection))
    if connection.execute(taken.limit(1), ids).first() is not None:
        connection.execute(delete(jobs).where(jobs.c.id == plan.id))  # the caller may go on
        raise Conflict(f"the id of a leg of {plan.id} was used before")
    write_rows(connection, _KEEPING, rows[1:])
    insert_parts_runs(connection, parts)
    _take_over(connection, parts)
    add_links(connection, links)
    add_events(connection, [accepted(part, plan.id) for part in parts])
    return True


_KEEPING = insert(jobs)
_STARTING = insert(runs)


def accepted(part: Part, plan: JobId) -> dict[str, Any]:
    """What the log says of a part that was kept."""
    job = part.job
    return event_row(
        at=job.created_at,
        org=job.org,
        job=job.id,
        plan=plan,
        kind="job.accepted",
        actor=account_key_id(job.caller),
        new=job.state,
        detail=_size(part),
    )


def _size(part: Part) -> dict[str, int]:
    if part.job.kind is not Kind.ACTION:
        return {"parts": part.job.tally.total()}
    size = {"nodes": len(part.nodes) + len(part.done)}
    return size | {"taken_over": len(part.done)} if part.done else size


def insert_parts_runs(connection: Connection, parts: Iterable[Part]) -> None:
    """Keep the runs of these, as their jobs stand."""
    few: list[dict[str, Any]] = []
    for part in parts:
        if part.job.rollout is not None or len(part.nodes) > _ONE_BY_ONE:
            insert_runs(connection, part.job, part.nodes, part.dispatch_at)
        else:
            few += (run_columns(part.job, part.dispatch_at) | {"node": at} for at in part.nodes)
    if few:
        write_rows(connection, _STARTING, few)


def _take_over(connection: Connection, parts: Iterable[Part]) -> None:
    """Copy runs that have succeeded before, whatever they answered."""
    rows = [
        {"_job": part.job.id, "_old": old, "_node": node}
        for part in parts
        for node, old in part.done.items()
    ]
    if rows:
        connection.execute(_COPYING, rows)


_SAME = [name for name in runs.c.keys() if name not in {"job", *_ALARMS}]  # noqa: SIM118
_COPYING = insert(runs).from_select(
    ["job", *_SAME],
    select(bindparam("_job", type_=String), *(runs.c[name] for name in _SAME)).where(
        runs.c.job == bindparam("_old"), runs.c.node == bindparam("_node")
    ),
)


def begin_plan(connection: Connection, parts: Sequence[Part], now: datetime) -> None:
    """Judge who waits for what was taken over."""
    over = [(part.job.id, node) for part in parts for node in part.done]
    if over:
        ended: list[Ended] = [*over]
        ended += [(part.job.id, None) for part in parts if part.job.state.is_terminal]
        settle(Ledger.of_jobs(connection, [part.job.id for part in parts], now), ended)


def nodes_by_leg(connection: Connection, plan: JobId) -> dict[str, list[NodeId]]:
    """Where each leg of the plan has runs, by key."""
    found: dict[str, list[NodeId]] = {}
    for row in connection.execute(_RUNS_OF_PLAN, {"plan": plan}):
        found.setdefault(row.leg, []).append(row.node)
    return found


def successes_by_leg(connection: Connection, plan: JobId) -> dict[str, Successes]:
    """Where each leg of the plan has succeeded and was not undone, by key."""
    undoing, undone = jobs.alias(), runs.alias()
    taken_back = exists().where(
        undoing.c.undoes == jobs.c.id,
        undone.c.job == undoing.c.id,
        undone.c.node == runs.c.node,
        undone.c.state == State.SUCCEEDED,
    )
    query = _RUNS_OF_PLAN.where(runs.c.state == State.SUCCEEDED, ~taken_back)
    found: dict[str, dict[NodeId, JobId]] = {}
    back, half = detoured(connection, plan)
    for row in connection.execute(query, {"plan": plan}):
        if (row.id, row.node) in back | half:
            continue
        found.setdefault(row.leg, {})[row.node] = row.id
    return dict(found)


Fills = Mapping[str, JobId]  #: reference -> the leg whose answer it means


def references_of(connection: Connection, plan: JobId) -> dict[JobId, tuple[str, Fills]]:
    """The legs of the plan that refer to others and have not ended: their keys, and to what."""
    query = select(jobs.c.id, jobs.c.leg, jobs.c.fills).where(
        jobs.c.plan == plan, jobs.c.undoes.is_(None), jobs.c.ended_at.is_(None)
    )
    rows = connection.execute(query.where(jobs.c.fills.is_not(None)))
    return {row.id: (row.leg, row.fills) for row in rows}


def has_undone(connection: Connection, plan: JobId) -> bool:
    """Whether anything of the plan was to be done and was not."""
    bad = runs.c.state.in_([State.FAILED, State.CANCELLED, State.EXPIRED])
    not_needed = func.coalesce(runs.c.reason, "") == Reason.START_IF
    left = bad | ((runs.c.state == State.SKIPPED) & ~not_needed)
    query = _RUNS_OF_PLAN.where(left).limit(1)
    return connection.execute(query, {"plan": plan}).first() is not None


_RUNS_OF_PLAN = (
    select(jobs.c.id, jobs.c.leg, runs.c.node)
    .join(runs, runs.c.job == jobs.c.id)
    .where(jobs.c.plan == bindparam("plan"), jobs.c.origin.is_(None), jobs.c.undoes.is_(None))
    .order_by(jobs.c.position, runs.c.node)
)


def list_legs(
    connection: Connection, job: Job, *, cursor: str | None = None, limit: int
) -> Page[Job]:
    """All groups and legs of a plan, those directly in a group, or what follows another job.

    In their order. Raises InvalidDocument.
    """
    query = select(jobs).where(_inside(job)).order_by(jobs.c.position).limit(limit + 1)
    if cursor is not None:
        if not (cursor.isascii() and cursor.isdecimal()):
            raise InvalidDocument(f"{cursor[:60]!r} is no cursor of legs")
        query = query.where(jobs.c.position > int(cursor))
    found = [read_job(row) for row in connection.execute(query).mappings()]
    more = len(found) > limit
    return Page(found[:limit], str(found[limit - 1].position) if more else None)


def _inside(job: Job) -> ColumnElement[bool]:
    if job.kind is Kind.GROUP:
        return jobs.c.parent == job.id
    if job.kind is Kind.PLAN or job.plan is None:
        return jobs.c.plan == job.id
    return (jobs.c.plan == job.plan) & (jobs.c.origin == job.id)


def keys_of(connection: Connection, ids: Collection[JobId]) -> dict[JobId, str]:
    """The keys of these legs and groups; other jobs are left out."""
    query = select(jobs.c.id, jobs.c.leg).where(jobs.c.id.in_(ids), jobs.c.leg.is_not(None))
    return {row.id: row.leg for row in connection.execute(query)}


def legs_of(connection: Connection, ids: Collection[JobId]) -> list[JobId]:
    """The legs and groups that are in these plans and groups, at whatever depth."""
    found: list[JobId] = []
    front = sorted(ids)
    while front:
        query = _listed(jobs.c.parent, sqlite=dialect.is_sqlite(connection))
        inside = connection.execute(query, dialect.name_values(connection, front))
        front = list(inside.scalars())
        found += front
    return found


@cache
def _listed(column: Column[str], *, sqlite: bool) -> Select[Any]:
    """The jobs in which that column has one of the names."""
    table = dialect.names(sqlite=sqlite)
    return select(jobs.c.id).join_from(table, jobs, table.c.name == column)
