"""Runs in the database."""

from collections.abc import Sequence

from sqlalchemy import Connection, RowMapping, select

from fleetjobs.jobs import JobId, NodeId, Run, node_id
from fleetjobs.states import State
from fleetjobs.store.pages import Page
from fleetjobs.store.schema import runs

_COLUMNS = [runs.c[name] for name in Run.__slots__]


def get_run(connection: Connection, job: JobId, node: NodeId) -> Run | None:
    """The job's run on that node; None if it has none there."""
    query = select(*_COLUMNS).where(runs.c.job == job, runs.c.node == node)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else _run(row)


def get_runs(connection: Connection, job: JobId, nodes: Sequence[NodeId]) -> dict[NodeId, Run]:
    """The job's runs on those nodes, as many as there are."""
    query = select(*_COLUMNS).where(runs.c.job == job, runs.c.node.in_(nodes))
    return {row["node"]: _run(row) for row in connection.execute(query).mappings()}


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


def _run(row: RowMapping) -> Run:
    return Run(**row)
