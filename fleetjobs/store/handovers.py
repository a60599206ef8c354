"""Handovers: which runs are to be given to the broker, asked after, or given up."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, case, literal, select, update

from fleetjobs.jobs import JobId, NodeId
from fleetjobs.states import Reason, State
from fleetjobs.store.dependencies import settle
from fleetjobs.store.entries import COORDINATOR, RunName
from fleetjobs.store.ledger import Ledger
from fleetjobs.store.outbox import confirm
from fleetjobs.store.schema import jobs, nodes, runs
from fleetjobs.store.standing import UNSTARTED

ASK_AT_MOST = timedelta(hours=1)  #: a long run is asked after ever more rarely, at last every hour
ANSWER_TIME = timedelta(minutes=5)  #: for a node to say in time that it did start in time


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """One attempt of one run, to be given to the broker."""

    job: JobId
    node: NodeId
    attempt: int
    generation: int
    task: str  # agent.action
    sealed: str  # the request
    not_before: datetime | None
    start_before: datetime | None


def runs_to_dispatch(connection: Connection, now: datetime, limit: int) -> list[Handover]:
    """The runs that are due for hand-over, longest due first.

    Only a first attempt has times to keep: a later one starts when it comes.
    """
    query = (
        select(runs.c.job, runs.c.node, runs.c.attempt, runs.c.generation)
        .where(runs.c.dispatch_at <= now)
        .order_by(runs.c.dispatch_at, runs.c.job, runs.c.node)
        .limit(limit)
    )
    due = connection.execute(query).all()
    if not due:
        return []
    columns = (jobs.c.id, jobs.c.agent, jobs.c.action, jobs.c.sealed)
    times = (jobs.c.not_before, jobs.c.start_before)
    requests = select(*columns, *times).where(jobs.c.id.in_(sorted({row.job for row in due})))
    asked = {row.id: row for row in connection.execute(requests)}
    return [
        Handover(
            job=row.job,
            node=row.node,
            attempt=row.attempt,
            generation=row.generation,
            task=f"{asked[row.job].agent}.{asked[row.job].action}",
            sealed=asked[row.job].sealed,
            not_before=asked[row.job].not_before if row.attempt == 1 else None,
            start_before=asked[row.job].start_before if row.attempt == 1 else None,
        )
        for row in due
    ]


def mark_queued(
    connection: Connection, handovers: Sequence[Handover], now: datetime, ask_after: timedelta
) -> set[JobId]:
    """Note that the broker has them; gives the jobs that moved.

    A run whose reply was faster keeps its state; one about which minds changed meanwhile has an
    order on its way that overrules what was handed over. Whoever has not ended `ask_after` its
    hand-over, or its time, will be asked; each time the wait doubles.
    """
    ledger = Ledger(connection, [(item.job, item.node) for item in handovers], now)
    for item in handovers:
        run = ledger.run(item.job, item.node)
        if run is None or (run.attempt, run.generation) != (item.attempt, item.generation):
            continue
        if run.state.is_terminal or run.dispatch_at is None:
            continue
        waited = now - run.queued_at if run.queued_at else ask_after
        wait = min(max(ask_after, waited), ASK_AT_MOST)
        asked_at = max(now, item.not_before or now) + wait
        run.change(dispatch_at=None, handed_at=now, ask_at=asked_at)
        if run.state in {State.SCHEDULED, State.WAITING}:
            ledger.move(run, [State.QUEUED], actor=COORDINATOR)
            answer_by = None if item.start_before is None else item.start_before + ANSWER_TIME
            run.change(queued_at=now, expire_at=answer_by, next_attempt_at=None)
    return settle(ledger)


def postpone(connection: Connection, handovers: Sequence[Handover], until: datetime) -> None:
    """Have these handed over later, if they still wait for it."""
    due = (runs.c.job == bindparam("_job"), runs.c.node == bindparam("_node"))
    waiting = (*due, runs.c.dispatch_at.is_not(None))
    rows = [{"_job": item.job, "_node": item.node} for item in handovers]
    if rows:
        connection.execute(update(runs).where(*waiting).values(dispatch_at=until), rows)


def runs_to_ask(connection: Connection, now: datetime, limit: int) -> list[RunName]:
    """Handed-over runs whose node should have told more, and was heard of since."""
    query = (
        select(runs.c.job, runs.c.node)
        .join(nodes, nodes.c.identity == runs.c.node)
        .where(runs.c.ask_at <= now, nodes.c.seen_at > runs.c.handed_at)
        .order_by(runs.c.ask_at)
        .limit(limit)
    )
    return [(row.job, row.node) for row in connection.execute(query)]


def ask_again(connection: Connection, names: Sequence[RunName], now: datetime) -> None:
    """Have the same attempts handed over once more: a node that knows them tells how they stand.

    Where an order is unanswered, the order is sent once more instead.
    """
    due = (runs.c.job == bindparam("_job"), runs.c.node == bindparam("_node"), runs.c.ask_at <= now)
    soon = literal(now, runs.c.dispatch_at.type)
    ordered = runs.c.pending.is_not(None)
    statement = (
        update(runs)
        .where(*due)
        .values(
            dispatch_at=case((ordered, runs.c.dispatch_at), else_=soon),
            order_at=case((ordered, soon), else_=runs.c.order_at),
            ask_at=None,
        )
    )
    rows = [{"_job": job, "_node": node} for job, node in sorted(names)]
    if rows:
        connection.execute(statement, rows)


def runs_overdue(connection: Connection, now: datetime, limit: int) -> list[RunName]:
    """Runs of which no node said that it has them, though their time to start is over."""
    query = (
        select(runs.c.job, runs.c.node)
        .where(runs.c.expire_at <= now)
        .order_by(runs.c.expire_at)
        .limit(limit)
    )
    return [(row.job, row.node) for row in connection.execute(query)]


def expire_runs(connection: Connection, names: Sequence[RunName], now: datetime) -> set[JobId]:
    """End those of the runs that are still overdue; gives the jobs that moved."""
    ledger = Ledger(connection, names, now)
    for name in names:
        run = ledger.run(*name)
        if run is None or run.expire_at is None or run.expire_at > now:
            continue
        held = run.state is State.PAUSED and run.reason is Reason.HOLD
        if run.state in UNSTARTED or held:
            ledger.move(run, [State.EXPIRED], actor=COORDINATOR, reason=Reason.START_BEFORE)
            confirm(run)  # its node, too, finds it too late
            run.change(ended_at=now, dispatch_at=None)
        run.change(expire_at=None)
    return settle(ledger)
