"""Runs in the database."""

from collections.abc import Collection, Sequence
from functools import cache
from typing import Protocol, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Executable,
    RowMapping,
    case,
    func,
    literal,
    select,
    text,
    tuple_,
)

from fleetjobs.jobs import Run
from fleetjobs.names import JobId, NodeId, job_id, node_id
from fleetjobs.states import State, WaitReason
from fleetjobs.store import dialect
from fleetjobs.store.pages import Page
from fleetjobs.store.schema.runs import ASKS_ATTENTION, runs

_holder = runs.alias()
_holding = (  # of the same org, who has had a slot of its action for longest
    select(_holder.c.job)
    .where(_holder.c.slot_at.is_not(None), _holder.c.lane == runs.c.lane)
    .where(_holder.c.org == runs.c.org)
    .order_by(_holder.c.slot_at, _holder.c.job)
    .limit(1)
)
_ITS_HOLDER = func.coalesce(
    _holding.where(_holder.c.node == runs.c.node).scalar_subquery(), _holding.scalar_subquery()
)
_BLOCKED_BY = case(
    (runs.c.wait_reason == WaitReason.CONCURRENCY, _ITS_HOLDER), else_=runs.c.blocked_by
).label("blocked_by")
_OPENS_AT = case((runs.c.wait_reason == WaitReason.WINDOW, runs.c.opens_at)).label("opens_at")
_TOLD_NOW = {"blocked_by": _BLOCKED_BY, "opens_at": _OPENS_AT}  # while it waits for that
_COLUMNS = [_TOLD_NOW.get(name, runs.c[name]) for name in Run.__slots__]


def get_run(connection: Connection, job: JobId, node: NodeId) -> Run | None:
    """The job's run on that node; None if it has none there."""
    query = select(*_COLUMNS).where(runs.c.job == job, runs.c.node == node)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else _run(row)


def get_runs(
    connection: Connection, names: Collection[tuple[JobId, NodeId]]
) -> dict[tuple[JobId, NodeId], Run]:
    """These runs, as many as there are, by job and node."""
    if not names:
        return {}
    query = _getting(sqlite=dialect.is_sqlite(connection))
    found = connection.execute(query, dialect.pair_values(connection, names)).mappings()
    return {(row["job"], row["node"]): _run(row) for row in found}


@cache
def _getting(*, sqlite: bool) -> Executable:
    wanted = dialect.pairs(sqlite=sqlite)
    same = (runs.c.job == wanted.c.job) & (runs.c.node == wanted.c.node)
    return select(*_COLUMNS).join_from(wanted, runs, same)


def list_runs(
    connection: Connection,
    job: JobId,
    *,
    states: Sequence[State] = (),
    cursor: str | None = None,
    limit: int,
) -> Page[Run]:
    """The job's runs by name of the node; the cursor is the last one. Raises InvalidDocument."""
    query = select(*_COLUMNS).where(runs.c.job == job).order_by(runs.c.node).limit(limit + 1)
    if states:
        query = query.where(runs.c.state.in_(states))
    if cursor is not None:
        query = query.where(runs.c.node > node_id(cursor))
    found = [_run(row) for row in connection.execute(query).mappings()]
    return Page(found[:limit], found[limit - 1].node if len(found) > limit else None)


def list_attention(
    connection: Connection, *, org: str | None, cursor: str | None = None, limit: int
) -> Page[Run]:
    """The runs that need a person, by job and node; `org` None: whosever they are.

    Raises InvalidDocument.
    """
    query = select(*_COLUMNS).where(text(f"runs.{ASKS_ATTENTION}"))
    query = query.order_by(runs.c.job, runs.c.node).limit(limit + 1)
    if org is not None:
        query = query.where(runs.c.org == org)
    if cursor is not None:
        query = query.where(behind_run(cursor))
    return run_page([_run(row) for row in connection.execute(query).mappings()], limit)


class Named(Protocol):
    """What is named as a run is."""

    @property
    def job(self) -> JobId:
        """Its job."""

    @property
    def node(self) -> NodeId:
        """Its node."""


N = TypeVar("N", bound=Named)


def run_page(found: list[N], limit: int) -> Page[N]:
    """A page of what was found by job and node, one more than the page takes."""
    last = found[limit - 1] if len(found) > limit else None
    return Page(found[:limit], None if last is None else f"{last.job}@{last.node}")


def behind_run(cursor: str) -> ColumnElement[bool]:
    """Of `runs`: those behind the last one of a page. Raises InvalidDocument."""
    job, _, node = cursor.partition("@")
    here = tuple_(literal(job_id(job)), literal(node_id(node)))
    return tuple_(runs.c.job, runs.c.node) > here


def nodes_of(connection: Connection, job: JobId) -> list[NodeId]:
    """Where the job has a run, by name."""
    query = select(runs.c.node).where(runs.c.job == job).order_by(runs.c.node)
    return list(connection.execute(query).scalars())


def nodes_without_success(connection: Connection, job: JobId) -> list[NodeId]:
    """Where the job did not, or not yet, succeed."""
    query = select(runs.c.node).where(runs.c.job == job, runs.c.state != State.SUCCEEDED)
    return list(connection.execute(query.order_by(runs.c.node)).scalars())


def _run(row: RowMapping) -> Run:
    return Run(**row)
