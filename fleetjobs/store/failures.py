"""Failures: a run that will not be tried again fails, or waits for a person if its leg says so."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from fleetjobs.plans.documents import OnFailure
from fleetjobs.states import Reason, State, Status
from fleetjobs.store.detours import is_undoing
from fleetjobs.store.entries import COORDINATOR, JobEntry, RunEntry
from fleetjobs.store.ledger import Ledger
from fleetjobs.store.standing import path


def fail(
    ledger: Ledger,
    run: RunEntry,
    way: Sequence[State],
    *,
    actor: str,
    reason: Reason | None,
    began_at: datetime | None = None,
    detail: dict[str, Any] | None = None,
) -> None:
    """Take the run through these states to its failure, or to a person just before."""
    job = ledger.job_of(run)
    is_stuck = is_undoing(run) and run.state is not State.CANCELLING
    if is_stuck or _pauses(job, run):
        way = _to_pause(run.state, way)
        goes_back = is_stuck or job.undoes is not None
        why = Reason.ROLLBACK_STUCK if goes_back else Reason.ATTEMPTS_EXHAUSTED
        detail, reason = {**(detail or {}), "reason": reason}, why
    ledger.move(run, way, actor=actor, reason=reason, began_at=began_at, detail=detail)


def give_up(ledger: Ledger, run: RunEntry, why: str) -> None:
    """Let a run fail that never reached its node, for what it refers to is not there."""
    fail(ledger, run, path(run.state, State.FAILED), actor=COORDINATOR, reason=Reason.INVALID)
    run.change(
        statuscode=Status.MISSING_DATA,
        statusmsg=why,
        ended_at=ledger.now,
        dispatch_at=None,
        expire_at=None,
    )


def _pauses(job: JobEntry, run: RunEntry) -> bool:
    """Whether one more failure is one too many, and a person is to be asked then."""
    if job.on_failure != OnFailure.PAUSE or run.state is State.CANCELLING:
        return False
    if job.rollout is not None:  # which pauses as a whole, once its budget is spent
        return False
    bad = sum(job.tally[state] for state in (State.FAILED, State.EXPIRED, State.CANCELLED))
    asking = job.needing - run.attention  # a person has them; what is merely held may yet succeed
    return bad + asking >= job.max_failures


def _to_pause(state: State, way: Sequence[State]) -> tuple[State, ...]:
    before = tuple(way[:-1])
    return (*before, *path(before[-1] if before else state, State.PAUSED))
