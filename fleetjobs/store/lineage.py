"""Lineage: jobs derived from their runs, and plans from their legs, level by level upward.

Decided in memory: the ledger reads what is needed before and writes what came of it after.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from fleetjobs.jobs import Kind
from fleetjobs.plans.documents import OnFailure
from fleetjobs.plans.progress import Part, percent
from fleetjobs.states import (
    LIVE,
    Completion,
    Reason,
    Rollback,
    State,
    WaitReason,
    check_move,
    completion,
)
from fleetjobs.store.entries import JobEntry, Told
from fleetjobs.store.jobs import dump_tally
from fleetjobs.store.standing import job_path

_BAD = frozenset({State.FAILED, State.EXPIRED, State.CANCELLED})
Note = Callable[..., None]  #: logs a move of a job


def is_live(job: JobEntry) -> bool:
    """Whether any of its runs or legs can still move."""
    return any(job.tally[state] for state in LIVE)


def derive_job(job: JobEntry, now: datetime, note: Note) -> bool:
    """Let the job stand as its runs or legs do; whether it ended just now. `note` logs its moves.

    Raises InvalidTransition.
    """
    found = job.state
    way = job_path(found, job.tally, job.terms, begins=job.began_at is not None)
    for new in way:
        check_move(job.state, new)
        note(job, f"job.{new}", actor=job.actor, old=job.state, new=new, reason=_reason(job, new))
        job.state = new
    if way:
        job.reason = _reason(job, job.state)
    job.wait_reason = _wait(job)
    ends = job.state.is_terminal and not found.is_terminal
    if ends:
        job.ended_at = now
    job.started_at = min(filter(None, (job.started_at, job.began_at)), default=None)
    if job.reverts:  # nothing more of it will be done
        return ends
    if job.started_at is not None or job.state in {State.FAILED, State.SUCCEEDED}:
        job.percent = percent([Part(weight=1, done=job.done)], job.state, job.percent)
    return ends


def tell_parent(job: JobEntry, parent: JobEntry) -> None:
    """Let the plan or group know how its leg stands now."""
    old, new = job.told, job.tell()
    if job.is_undoing:
        _tell_undoing(job, parent, new)
        return
    if new.state is not old.state:
        parent.tally[old.state] -= 1
        parent.tally[new.state] += 1
        parent.last = job.reason
        if job.on_failure == OnFailure.CONTINUE and new.state in _BAD:
            parent.forgiven += 1
        if new.state.is_terminal and completion_of(job) is Completion.PARTIAL:
            parent.set(partly=True)
    is_over = new.state.is_terminal
    if (is_over and new.state is not old.state) or (job.reverts and not is_over):
        _ask_back(job, parent)
    parent.blocked += new.blocked - old.blocked
    parent.needing += new.needing - old.needing
    parent.progress += job.weight * (new.done - old.done)
    parent.actor = job.actor
    if new.state is State.WAITING and not new.blocked:
        parent.waits = job.wait_reason
    if job.began_at is not None:
        parent.began_at = min(filter(None, (parent.began_at, job.began_at)))
    job.told = new


def _ask_back(job: JobEntry, parent: JobEntry) -> None:
    """Have the plan taken back if one leg too many has failed that asks for it.

    A group of which too many have failed is one too many before the rest of it has ended.
    """
    if job.undoes is not None:
        if job.tally[State.SUCCEEDED] < job.tally.total():
            parent.set(rollback=Rollback.FAILED)
        return
    doomed = job.kind is Kind.GROUP and job.reverts and not job.state.is_terminal
    bad = sum(parent.tally[state] for state in _BAD) - parent.forgiven + doomed
    asks = job.reverts or (job.kind is Kind.ACTION and job.on_failure == OnFailure.ROLLBACK)
    ended_badly = doomed or job.state in _BAD
    if asks and ended_badly and bad > parent.max_failures and not parent.called_off:
        parent.set(reverts=True)


def _tell_undoing(job: JobEntry, plan: JobEntry, new: Told) -> None:
    """Let the plan know how its taking back stands: for itself, no part of what it has to do."""
    if new.state is not job.told.state:
        plan.last = job.reason
    plan.needing += new.needing - job.told.needing
    plan.actor = job.actor
    plan.set(undoing=new.state)
    plan.changes["rollback_percent"] = job.percent
    if new.state.is_terminal:
        good = new.state is State.SUCCEEDED and job.rollback is not Rollback.FAILED
        whole = plan.rollback or Rollback.DONE
        plan.set(rollback=whole if good else Rollback.FAILED)
    job.told = new


def job_row(job: JobEntry) -> dict[str, Any]:
    """The job's columns as they are to be, and those that name the row as it was."""
    return {
        **job.changes,
        "_id": job.id,
        "_state": job.found,
        "state": job.state,
        "wait_reason": job.wait_reason,
        "reason": job.reason,
        "tally": dump_tally(job.tally),
        "completion": completion_of(job) if job.state.is_terminal else None,
        "needing": job.needing,
        "attention": job.needing > 0,
        "started_at": job.started_at,
        "ended_at": job.ended_at,
        "progress": job.progress,
        "percent": job.percent,
        "blocked": job.blocked,
        "forgiven": job.forgiven,
    }


def completion_of(job: JobEntry) -> Completion:
    """How much of it was done, now that it has ended: a part if a part of a leg was."""
    return Completion.PARTIAL if job.partly else completion(job.tally)


def _wait(job: JobEntry) -> WaitReason | None:
    """What a waiting job waits for: as the run that was made to wait last, if any can go on."""
    if job.state is not State.WAITING:
        return None
    if job.blocked and job.blocked >= job.tally[State.WAITING]:
        begun = job.rollout is not None and job.terms.begun
        return WaitReason.ROLLOUT if begun else WaitReason.DEPENDENCY
    idle = {WaitReason.DEPENDENCY, WaitReason.ROLLOUT}
    known = (wait for wait in (job.waits, job.wait_reason) if wait not in {None, *idle})
    return next(known, WaitReason.OUTBOX)


def _reason(job: JobEntry, state: State) -> Reason | None:
    """Why a job ended or stands so: with one run the run's own reason."""
    if state is State.PAUSED:
        return job.last
    if not state.is_terminal:
        return None
    if state is State.SKIPPED or (job.tally.total() == 1 and job.kind is Kind.ACTION):
        return job.last
    failed = Reason.RUNS_FAILED if job.kind is Kind.ACTION else Reason.LEGS_FAILED
    return {State.FAILED: failed, State.EXPIRED: Reason.START_BEFORE}.get(state)
