"""Denials: runs whose caller may no longer run them wait for a person, before they begin."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, literal, or_, select, text, tuple_

from fleetjobs.jobs import Pending
from fleetjobs.names import JobId, NodeId
from fleetjobs.states import Reason, State
from fleetjobs.store.entries import COORDINATOR, RunEntry, RunName
from fleetjobs.store.judging import settle
from fleetjobs.store.ledger import Ledger
from fleetjobs.store.outbox import SKEW, hold_back, may_be_handed, recall
from fleetjobs.store.schema.jobs import jobs
from fleetjobs.store.schema.runs import IS_LIVE, runs


def deny(connection: Connection, refused: Mapping[RunName, str], now: datetime) -> set[JobId]:
    """Set those aside that have not begun, and say why; gives the jobs that moved.

    What a node may have is called back, and waits once the node has let it go; what has begun by
    then goes on.
    """
    ledger = Ledger(connection, sorted(refused), now)
    for name, why in sorted(refused.items()):
        run = ledger.run(*name)
        if run is not None:
            _deny(ledger, run, why)
    return settle(ledger)


def _deny(ledger: Ledger, run: RunEntry, why: str) -> None:
    detail = {"attempt": run.attempt, "why": why}
    if run.state is State.QUEUED:
        if run.pending not in {Pending.DENY, Pending.CANCEL}:
            ledger.note(run, "run.denied", actor=COORDINATOR, reason=Reason.DENIED, detail=detail)
            recall(ledger, run, Pending.DENY, actor=COORDINATOR)
            run.change(statusmsg=why)
        return
    if run.state not in {State.SCHEDULED, State.WAITING} or run.is_idle:
        return
    handed = may_be_handed(ledger, run)
    ledger.note(run, "run.denied", actor=COORDINATOR, reason=Reason.DENIED, detail=detail)
    hold_back(ledger, run, actor=COORDINATOR, reason=Reason.DENIED)
    run.change(statusmsg=why)
    if handed:
        recall(ledger, run, Pending.DENY, actor=COORDINATOR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A run that may be about to begin, and in whose name."""

    job: JobId
    node: NodeId
    org: str
    caller: str
    task: str  # agent.action
    created_at: datetime  # the job
    root: JobId | None  # the plan that the job is a part of, or the first job it follows


def starts_ahead(
    connection: Connection, now: datetime, *, after: RunName | None, limit: int
) -> list[Start]:
    """Runs that nodes have, or may have, and have not begun; those behind one, if given.

    By node, as the index of live runs has them: by job all that ever ended would be read too.
    """
    handed = or_(runs.c.queued_at.is_not(None), runs.c.dispatch_at <= now + SKEW)
    waiting = and_(runs.c.state.in_([State.SCHEDULED, State.WAITING]), handed)
    query = (
        select(runs.c.job, runs.c.node, *(jobs.c[name] for name in _OF_JOB))
        .join(jobs, jobs.c.id == runs.c.job)
        .where(text(f"runs.{IS_LIVE}"), or_(runs.c.state == State.QUEUED, waiting))
        .order_by(runs.c.node, runs.c.job)
        .limit(limit)
    )
    if after is not None:
        job, node = after
        query = query.where(tuple_(runs.c.node, runs.c.job) > tuple_(literal(node), literal(job)))
    return [
        Start(
            job=row.job,
            node=row.node,
            org=row.org,
            caller=row.caller,
            task=f"{row.agent}.{row.action}",
            created_at=row.created_at,
            root=row.plan,
        )
        for row in connection.execute(query)
    ]


_OF_JOB = ("org", "caller", "agent", "action", "created_at", "plan")


def runs_by_action(connection: Connection, job: JobId) -> dict[str, list[NodeId]]:
    """On which nodes the job, or what is in it, does which action (`agent.action`)."""
    parts = or_(jobs.c.id == job, jobs.c.plan == job, jobs.c.parent == job)
    query = (
        select(jobs.c.agent, jobs.c.action, runs.c.node)
        .join(runs, runs.c.job == jobs.c.id)
        .where(parts)
        .order_by(runs.c.node)
    )
    found: dict[str, list[NodeId]] = {}
    for row in connection.execute(query):
        found.setdefault(f"{row.agent}.{row.action}", []).append(row.node)
    return found
