"""Outbox: runs in line for hand-over, and orders about runs that may have been handed over.

An order is sent again and again until the node answers it: `pending` says that it has not.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from fleetjobs.jobs import Pending
from fleetjobs.messages import Stage
from fleetjobs.names import JobId, NodeId
from fleetjobs.rollouts import Gate
from fleetjobs.splay import splay_of
from fleetjobs.states import Reason, State, WaitReason
from fleetjobs.store.entries import JobEntry, RunEntry, start_limit
from fleetjobs.store.ledger import Ledger
from fleetjobs.store.pages import Page
from fleetjobs.store.runs import behind_run, run_page
from fleetjobs.store.schema.jobs import jobs
from fleetjobs.store.schema.runs import runs
from fleetjobs.store.standing import attempt_limit, due_at, latest, path

START_WITHIN = timedelta(hours=24)  #: if nobody says until when, nor that it is never too late
SKEW = timedelta(minutes=1)  #: what is due by another machine's clock may be under way already


def may_be_handed(ledger: Ledger, run: RunEntry) -> bool:
    """Whether a node may have this attempt, or be about to get it; none has what it finished."""
    if run.stage is Stage.FINISHED:
        return False
    under_way = run.dispatch_at is not None and run.dispatch_at <= ledger.now + SKEW
    return run.queued_at is not None or run.pending is not None or under_way


def recall(ledger: Ledger, run: RunEntry, pending: Pending, *, actor: str) -> None:
    """Have the node told, under a new generation, and instead of any delivery."""
    run.change(
        generation=run.generation + 1,
        pending=pending,
        pending_at=ledger.now,
        order_at=ledger.now,
        dispatch_at=None,
        ask_at=None,
    )
    detail = {"attempt": run.attempt, "generation": run.generation}
    ledger.note(run, "run.pending", actor=actor, reason=pending, detail=detail)


def confirm(run: RunEntry) -> None:
    """The node knows what was wanted, or it no longer matters."""
    run.change(pending=None, pending_at=None, order_at=None, ask_at=None)


def line_up(ledger: Ledger, run: RunEntry, *, actor: str, blocked: bool = False) -> None:
    """Put an unstarted run in line for hand-over, or behind what it depends on.

    One whose batch has not come waits for it; one that is not to begin any more ends.
    """
    job = ledger.job_of(run)
    first = run.attempt == 1
    gate = job.rollout.gate(run.turn) if job.rollout is not None and first else Gate.OPEN
    if gate is Gate.SHUT:
        _leave_out(ledger, run, actor=actor)
        return
    if gate is not Gate.OPEN and not blocked:
        _line_up_later(ledger, run, gate, actor=actor)
        return
    counts = job.plan is not None or job.rollout is not None
    if counts and job.undoes is None and first and not blocked and run.start_before is None:
        _begin_to_count(ledger, job, run)
    if job.splay_s and first and not blocked:
        _spread(ledger, job, run)
    not_before = latest(job.not_before, run.not_before) if first else None
    later = not blocked and not_before is not None and not_before > ledger.now
    place = State.SCHEDULED if later else State.WAITING
    wait = WaitReason.DEPENDENCY if blocked else WaitReason.OUTBOX
    if run.state is not place:
        ledger.move(run, path(run.state, place), actor=actor, wait=wait)
    elif place is State.WAITING:
        ledger.wait_for(run, wait)
    run.change(
        dispatch_at=None if blocked else due_at(not_before, ledger.now),
        expire_at=attempt_limit(start_limit(job, run), job.give_up_s, run.attempt, ledger.now),
        ask_at=None,
        next_attempt_at=None,
    )


def _spread(ledger: Ledger, job: JobEntry, run: RunEntry) -> None:
    """Give it its place in the time over which the job's nodes begin, once."""
    begin = latest(ledger.now if run.not_before is None else run.not_before, job.not_before)
    if begin is not None and begin != run.not_before:
        place = splay_of(job.schedule or job.id, run.node, job.splay_s)
        run.change(not_before=begin + place)


def _leave_out(ledger: Ledger, run: RunEntry, *, actor: str) -> None:
    """Too many have failed before it."""
    ledger.move(run, path(run.state, State.SKIPPED), actor=actor, reason=Reason.ROLLOUT)
    run.change(
        statusmsg="left out: too many had failed before its turn",
        ended_at=ledger.now,
        dispatch_at=None,
        expire_at=None,
    )


def _line_up_later(ledger: Ledger, run: RunEntry, gate: Gate, *, actor: str) -> None:
    """Its turn has not come, or a person says whether it does."""
    run.change(dispatch_at=None, ask_at=None, expire_at=ledger.job_of(run).start_before)
    if gate is Gate.PERSON:
        way = path(run.state, State.PAUSED)
        ledger.move(run, way, actor=actor, reason=Reason.ROLLOUT)
    elif run.state is State.WAITING:
        ledger.wait_for(run, WaitReason.ROLLOUT)
    else:
        ledger.move(run, path(run.state, State.WAITING), actor=actor, wait=WaitReason.ROLLOUT)


def _begin_to_count(ledger: Ledger, job: JobEntry, run: RunEntry) -> None:
    """What a leg is given in seconds counts from now on: its delay, and its time to start."""
    begin = ledger.now + timedelta(seconds=job.delay_s)
    if job.delay_s and run.not_before is None:
        run.change(not_before=begin)
    run.change(start_before=max(begin, job.not_before or begin) + START_WITHIN)


def hold_back(ledger: Ledger, run: RunEntry, *, actor: str, reason: Reason = Reason.HOLD) -> None:
    """Set an unstarted run aside until a person releases it; it can still come too late.

    `reason` is HOLD or DENIED.
    """
    ledger.move(run, path(run.state, State.PAUSED), actor=actor, reason=reason)
    run.change(dispatch_at=None, ask_at=None)


def give_back(run: RunEntry) -> None:
    """The node let the attempt go before it began; a later generation may come there again."""
    run.change(generation=run.generation + 1, stage=None, queued_at=None, handed_at=None)
    confirm(run)


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """A run that is due and not handed over."""

    job: JobId
    node: NodeId
    attempt: int
    action: str  # agent.action
    due_at: datetime


def list_outbox(
    connection: Connection, now: datetime, *, org: str | None, cursor: str | None, limit: int
) -> Page[Queued]:
    """The runs that wait for hand-over and are due, by job and node. Raises InvalidDocument.

    Not those that are merely asked after. `org` None: everybody's.
    """
    columns = (runs.c.job, runs.c.node, runs.c.attempt, runs.c.dispatch_at)
    query = (
        select(*columns, jobs.c.agent, jobs.c.action)
        .join(jobs, jobs.c.id == runs.c.job)
        .where(runs.c.dispatch_at <= now, runs.c.state.in_([State.WAITING, State.SCHEDULED]))
        .order_by(runs.c.job, runs.c.node)
        .limit(limit + 1)
    )
    if org is not None:
        query = query.where(runs.c.org == org)
    if cursor is not None:
        query = query.where(behind_run(cursor))
    found = [
        Queued(
            job=row.job,
            node=row.node,
            attempt=row.attempt,
            action=f"{row.agent}.{row.action}",
            due_at=row.dispatch_at,
        )
        for row in connection.execute(query)
    ]
    return run_page(found, limit)
