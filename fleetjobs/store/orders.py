"""Orders: what nodes are to be told of attempts they may have; sent until they answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from fleetjobs.jobs import Pending
from fleetjobs.messages import Verb
from fleetjobs.names import JobId, NodeId
from fleetjobs.store.handovers import ASK_AT_MOST
from fleetjobs.store.ledger import Ledger
from fleetjobs.store.schema.runs import runs

_VERBS = {
    Pending.CANCEL: Verb.STOP,
    Pending.EDIT: Verb.WITHDRAW,
    Pending.HOLD: Verb.WITHDRAW,
    Pending.DENY: Verb.WITHDRAW,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """One order to one node, to be given to the broker."""

    job: JobId
    node: NodeId
    attempt: int
    generation: int
    verb: Verb


def orders_to_send(connection: Connection, now: datetime, limit: int) -> list[Instruction]:
    """The orders that are due, longest due first."""
    columns = (runs.c.job, runs.c.node, runs.c.attempt, runs.c.generation, runs.c.pending)
    query = (
        select(*columns)
        .where(runs.c.order_at <= now, runs.c.pending.is_not(None))
        .order_by(runs.c.order_at, runs.c.job, runs.c.node)
        .limit(limit)
    )
    return [
        Instruction(
            job=row.job,
            node=row.node,
            attempt=row.attempt,
            generation=row.generation,
            verb=_VERBS[row.pending],
        )
        for row in connection.execute(query)
    ]


def mark_ordered(
    connection: Connection, sent: Sequence[Instruction], now: datetime, ask_after: timedelta
) -> None:
    """Note that the broker has them; unanswered, they are sent again, each time after longer."""
    ledger = Ledger(connection, [(item.job, item.node) for item in sent], now)
    for item in sent:
        run = ledger.run(item.job, item.node)
        if run is None or run.pending is None or run.generation != item.generation:
            continue
        waited = now - (run.pending_at or now)
        wait = min(max(ask_after, waited), ASK_AT_MOST)
        run.change(order_at=None, handed_at=now, ask_at=now + wait)
    ledger.write()


def postpone_orders(
    connection: Connection, unsent: Sequence[Instruction], now: datetime, until: datetime
) -> None:
    """Have these sent later, if they still are to be."""
    ledger = Ledger(connection, [(item.job, item.node) for item in unsent], now)
    for item in unsent:
        run = ledger.run(item.job, item.node)
        if run is not None and run.pending is not None:
            run.change(order_at=until)
    ledger.write()
