"""Rollbacks that a person asks for: a plan that is stuck, or is called off, goes back."""

from collections.abc import Iterable

from fleetjobs.errors import Conflict
from fleetjobs.jobs import Kind, Pending
from fleetjobs.names import JobId
from fleetjobs.plans.documents import OnFailure
from fleetjobs.states import Reason, State
from fleetjobs.store.entries import JobEntry, RunEntry
from fleetjobs.store.ledger import Ledger
from fleetjobs.store.outbox import may_be_handed, recall

_ASKS = frozenset({OnFailure.PAUSE, OnFailure.ROLLBACK})


def plan_of(ledger: Ledger, job: JobId) -> JobEntry:
    """The plan. Raises Conflict if the job is none."""
    entry = ledger.job_named(job)
    if entry.kind is not Kind.PLAN:
        whose = f"; it is a part of {entry.plan}" if entry.plan else ""
        raise Conflict(f"{job} is no plan, and only those can be rolled back{whose}")
    return entry


def check_may_go_back(plan: JobEntry) -> None:
    """Let a rollback pass of a plan that waits for a person, or may come to. Raises Conflict."""
    if plan.state.is_terminal:
        raise Conflict(f"{plan.id} has ended; what it did is not undone any more")
    if plan.state is not State.PAUSED and plan.on_failure not in _ASKS:
        raise Conflict(
            f"{plan.id} is {plan.state}, and its on_failure is {plan.on_failure}: cancel it with"
            " rollback, and what it has done is undone"
        )


def turn_back(ledger: Ledger, plan: JobEntry, runs: Iterable[RunEntry], actor: str) -> None:
    """Have the plan undone once nothing of it is at work.

    What waited for a person has failed. What has not begun never will; see `store.rollbacks`.
    """
    for run in runs:
        waits = run.state is State.PAUSED and run.reason is not Reason.ROLLOUT
        if waits and not run.is_set_aside:
            _give_up(ledger, run, actor)
    ledger.touch(plan, reverts=True)
    ledger.note_job(plan, "plan.rollback_asked", actor=actor)
    plan.actor = actor


def _give_up(ledger: Ledger, run: RunEntry, actor: str) -> None:
    """Let it have failed; a node that may still be at it is told to stop."""
    handed = may_be_handed(ledger, run)
    ledger.move(run, [State.FAILED], actor=actor, reason=run.reason)
    run.change(ended_at=ledger.now, expire_at=None, dispatch_at=None)
    if handed:
        recall(ledger, run, Pending.CANCEL, actor=actor)
