"""Plans in the database: kept whole, with all their legs, and read leg by leg."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Column, Connection, Select, insert, select

from fleetjobs.errors import Conflict, InvalidDocument
from fleetjobs.jobs import Dependency, Job, JobId, Kind, NodeId
from fleetjobs.signing import account_key_id
from fleetjobs.store import dialect
from fleetjobs.store.events import add_events, event_row
from fleetjobs.store.jobs import insert_runs, job_columns, read_job, run_columns
from fleetjobs.store.pages import Page
from fleetjobs.store.schema import dependencies, jobs, runs

_WHOLE = ""  #: in place of a node: the whole job
_ONE_BY_ONE = 50  #: a leg with more nodes than that has a statement of its own for its runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A plan, a group or a leg, as it is to be kept."""

    job: Job
    meaning: str
    nodes: Sequence[NodeId] = ()
    dispatch_at: datetime | None = None  # of its runs; None: something else has to end first


def insert_plan(connection: Connection, parts: Sequence[Part], links: Iterable[Dependency]) -> bool:
    """Keep a plan, the first part, with the others; False if there is a job of its id.

    Raises Conflict if there is one of another part's: then nothing may be kept.
    """
    plan = parts[0].job
    statement = dialect.insert(connection, jobs).on_conflict_do_nothing()
    rows = [job_columns(part.job, part.meaning) for part in parts]
    if connection.execute(statement.values(rows[0]).returning(jobs.c.id)).first() is None:
        return False
    ids = dialect.name_values(connection, [part.job.id for part in parts[1:]])
    taken = _listed(jobs.c.id, sqlite=dialect.is_sqlite(connection))
    if connection.execute(taken.limit(1), ids).first() is not None:
        raise Conflict(f"the id of a leg of {plan.id} was used before")
    connection.execute(insert(jobs), rows[1:])
    _insert_runs(connection, parts)
    waits = [
        {
            "job": item.job,
            "node": item.node or _WHOLE,
            "on_job": item.on_job,
            "on_node": item.on_node or _WHOLE,
            "when": item.when,
            "met": item.met,
        }
        for item in links
    ]
    if waits:
        connection.execute(insert(dependencies), waits)
    add_events(connection, [_accepted(part, plan.id) for part in parts])
    return True


def _accepted(part: Part, plan: JobId) -> dict[str, Any]:
    job = part.job
    return event_row(
        at=job.created_at,
        org=job.org,
        job=job.id,
        plan=plan,
        kind="job.accepted",
        actor=account_key_id(job.caller),
        new=job.state,
        detail={"nodes": len(part.nodes)} if part.nodes else {"parts": job.tally.total()},
    )


def _insert_runs(connection: Connection, parts: Iterable[Part]) -> None:
    few: list[dict[str, Any]] = []
    for part in parts:
        if len(part.nodes) > _ONE_BY_ONE:
            insert_runs(connection, part.job, part.nodes, part.dispatch_at)
        else:
            few += (run_columns(part.job, part.dispatch_at) | {"node": at} for at in part.nodes)
    if few:
        connection.execute(insert(runs), few)


def list_legs(
    connection: Connection, job: Job, *, cursor: str | None = None, limit: int
) -> Page[Job]:
    """All groups and legs of a plan, or those directly in a group, in their order.

    Raises InvalidDocument.
    """
    inside = jobs.c.plan if job.kind is Kind.PLAN else jobs.c.parent
    query = select(jobs).where(inside == job.id).order_by(jobs.c.position).limit(limit + 1)
    if cursor is not None:
        if not (cursor.isascii() and cursor.isdecimal()):
            raise InvalidDocument(f"{cursor[:60]!r} is no cursor of legs")
        query = query.where(jobs.c.position > int(cursor))
    found = [read_job(row) for row in connection.execute(query).mappings()]
    more = len(found) > limit
    return Page(found[:limit], str(found[limit - 1].position) if more else None)


def list_children(connection: Connection, job: JobId, limit: int) -> list[Job]:
    """The legs and groups directly in a plan or group, in their order; no more than that."""
    query = select(jobs).where(jobs.c.parent == job).order_by(jobs.c.position).limit(limit)
    return [read_job(row) for row in connection.execute(query).mappings()]


def keys_of(connection: Connection, ids: Collection[JobId]) -> dict[JobId, str]:
    """The keys of these groups."""
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
