"""Departures: a node that is taken off its fleet, and what becomes of its runs."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, select, text

from fleetjobs.jobs import Pending
from fleetjobs.names import JobId, NodeId
from fleetjobs.states import Reason, State
from fleetjobs.store.entries import RunEntry, RunName
from fleetjobs.store.events import add_event
from fleetjobs.store.judging import settle
from fleetjobs.store.ledger import Ledger
from fleetjobs.store.outbox import confirm, may_be_handed, recall
from fleetjobs.store.schema.nodes import nodes
from fleetjobs.store.schema.runs import IS_LIVE, runs
from fleetjobs.store.standing import path


def live_runs_of(connection: Connection, node: NodeId, limit: int) -> list[RunName]:
    """Some of what the node has yet to do or has at work."""
    query = select(runs.c.job, runs.c.node).where(runs.c.node == node, text(f"runs.{IS_LIVE}"))
    return [(row.job, row.node) for row in connection.execute(query.limit(limit))]


def end_runs(
    connection: Connection, names: Sequence[RunName], now: datetime, *, actor: str
) -> set[JobId]:
    """End runs whose node is taken off, in writing; gives the jobs that moved."""
    ledger = Ledger(connection, names, now)
    for name in names:
        run = ledger.run(*name)
        if run is not None and not run.state.is_terminal:
            _end(ledger, run, actor)
    return settle(ledger)


def _end(ledger: Ledger, run: RunEntry, actor: str) -> None:
    """What may be on its way is called back: the machine may outlive its place in the fleet."""
    handed = may_be_handed(ledger, run)
    end = State.CANCELLED if run.state is State.CANCELLING else State.FAILED
    ledger.move(run, path(run.state, end), actor=actor, reason=Reason.NODE_REMOVED)
    why = f"{run.node} was taken off the fleet"
    run.change(statusmsg=why, ended_at=ledger.now, dispatch_at=None, expire_at=None)
    if not handed:
        confirm(run)
    elif run.pending is not Pending.CANCEL:
        recall(ledger, run, Pending.CANCEL, actor=actor)


def forget_node(
    connection: Connection, node: NodeId, now: datetime, *, org: str, actor: str
) -> None:
    """Believe nothing that the node signs any more. What it did stays on record."""
    connection.execute(delete(nodes).where(nodes.c.identity == node))
    add_event(connection, at=now, kind="node.removed", actor=actor, org=org, node=node)
