"""Losses: runs at work on nodes that fell silent."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, select, text

from fleetjobs.messages import Stage
from fleetjobs.names import JobId
from fleetjobs.states import Reason, State
from fleetjobs.store.attempts import (
    Chance,
    begin_attempt,
    give_up_attempt,
    may_retry,
    retry_wait,
)
from fleetjobs.store.deadlines import give_up
from fleetjobs.store.detours import next_step
from fleetjobs.store.dialect import seconds_since
from fleetjobs.store.entries import COORDINATOR, JobEntry, RunEntry, RunName, patience_of
from fleetjobs.store.judging import settle
from fleetjobs.store.ledger import Ledger
from fleetjobs.store.schema.jobs import jobs
from fleetjobs.store.schema.nodes import nodes
from fleetjobs.store.schema.runs import AT_WORK, runs

SILENCE_LEAST = timedelta(seconds=30)  #: nothing counts as lost any sooner
_ROUNDED_S = 0.01  # by which a database may be wrong about a silence; what it finds is looked at


def is_at_work() -> ColumnElement[bool]:
    """Of `runs`: whether its node should be heard of, and no person knows otherwise."""
    return and_(text(f"runs.{AT_WORK}"), ~runs.c.attention)


def runs_lost(connection: Connection, now: datetime, since: datetime, limit: int) -> list[RunName]:
    """Runs at work whose nodes were silent for as long as their actions say.

    Nobody was heard before `since`, when we began to listen.
    """
    if now - since < SILENCE_LEAST:
        return []
    listened_s = (now - since).total_seconds()
    query = (
        select(runs.c.job, runs.c.node, jobs.c.lost_after_s, nodes.c.seen_at)
        .join(nodes, nodes.c.identity == runs.c.node)
        .join(jobs, jobs.c.id == runs.c.job)
        .where(is_at_work(), nodes.c.seen_at < now - SILENCE_LEAST)
        .where(jobs.c.lost_after_s <= listened_s + _ROUNDED_S)
        .where(seconds_since(connection, nodes.c.seen_at, now) >= jobs.c.lost_after_s - _ROUNDED_S)
        .order_by(nodes.c.seen_at, runs.c.node, runs.c.job)
        .limit(limit)
    )
    return [
        (row.job, row.node)
        for row in connection.execute(query)
        if now - max(row.seen_at, since) >= timedelta(seconds=row.lost_after_s)
    ]


def lose_runs(
    connection: Connection, names: Sequence[RunName], now: datetime, *, chance: Chance
) -> set[JobId]:
    """Set them aside for a person, or the truth, to decide, or try again where that is allowed."""
    ledger = Ledger(connection, names, now)
    for name in names:
        run = ledger.run(*name)
        if run is not None and run.state in {State.RUNNING, State.CANCELLING}:
            _lose(ledger, run, chance)
    return settle(ledger)


def _lose(ledger: Ledger, run: RunEntry, chance: Chance) -> None:
    job = ledger.job_of(run)
    ledger.note(run, "run.lost", actor=COORDINATOR, detail={"attempt": run.attempt})
    if run.state is State.CANCELLING:
        ledger.need(run, needed=True)
        run.change(expire_at=_deadline(ledger, job))
    elif job.rollout is not None and not (job.retry_lost and may_retry(job, run)):
        give_up(ledger, run, f"lost: {run.node} fell silent, and its batch goes on without it")
    elif job.retry_lost and may_retry(job, run):
        give_up_attempt(ledger, run, Reason.LOST)
        step = run.step or next_step(ledger.connection, job, run)
        costs = step is None
        at = ledger.now + (retry_wait(job, run.tries, chance) if costs else timedelta())
        begin_attempt(
            ledger, run, at, actor=COORDINATOR, reason=Reason.LOST, costs=costs, step=step
        )
    else:
        ledger.move(run, [State.PAUSED], actor=COORDINATOR, reason=Reason.LOST)
        # Asked again as soon as it is heard of; then even `started` is news.
        run.change(stage=Stage.ACCEPTED, handed_at=ledger.now, ask_at=ledger.now, dispatch_at=None)
        run.change(expire_at=_deadline(ledger, job))


def _deadline(ledger: Ledger, job: JobEntry) -> datetime | None:
    patience = patience_of(job)
    return None if patience is None else ledger.now + patience
