"""Retries: what waits for a person, or for its next attempt, is tried again as that person says."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fleetjobs.control.detours import Detours, Known
from fleetjobs.control.holds import release
from fleetjobs.documents import decode
from fleetjobs.errors import Conflict, InvalidPlan
from fleetjobs.jobs import Pending
from fleetjobs.names import JobId, NodeId
from fleetjobs.plans.documents import PlanRequest, RetryMode
from fleetjobs.plans.shapes import Shape, arrange, leg_id
from fleetjobs.requests import Request
from fleetjobs.signing import peek
from fleetjobs.states import Reason, State, WaitReason
from fleetjobs.store.attempts import begin_attempt, give_up_attempt
from fleetjobs.store.detours import next_step
from fleetjobs.store.entries import JobEntry, RunEntry
from fleetjobs.store.jobs import get_job
from fleetjobs.store.ledger import Ledger
from fleetjobs.store.outbox import may_be_handed, recall
from fleetjobs.store.runs import nodes_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """What is to be undone before legs are tried again, otherwise than they say."""

    mode: RetryMode
    keys: Sequence[str] = ()  # with `rollback_to`: the legs to go back to
    seal: Callable[[Request], str]  # signs in the caller's name


def retry(ledger: Ledger, run: RunEntry, actor: str, manner: Manner | None = None) -> bool:
    """Let the run have another attempt, now; False if it waits for none.

    With a `manner`, only what waits for a person. Raises Conflict and InvalidPlan.
    """
    if run.state is State.PAUSED and run.reason is Reason.DENIED:
        return release(ledger, run, set(), actor)  # this attempt has not begun
    if run.state is State.PAUSED and run.reason not in {Reason.HOLD, Reason.ROLLOUT}:
        _try(ledger, run, actor, manner)
        return True
    if manner is None and run.wait_reason is WaitReason.RETRY and run.dispatch_at is not None:
        if run.dispatch_at <= ledger.now:
            return False
        run.change(dispatch_at=ledger.now, next_attempt_at=ledger.now)
        ledger.note(run, "run.hastened", actor=actor, detail={"attempt": run.attempt})
        return True
    return False


def _try(ledger: Ledger, run: RunEntry, actor: str, manner: Manner | None) -> None:
    job = ledger.job_of(run)
    if manner is not None and run.step is not None:
        raise Conflict(
            f"{job.id} is being taken back on {run.node} ({run.step}): retry that, without a mode"
        )
    is_new = "detour" not in job.changes  # by the run before: it is the same for all
    if manner is not None and manner.mode != RetryMode.AS_IS and is_new:
        _set_detour(ledger, job, manner)
    as_is = manner is not None and manner.mode == RetryMode.AS_IS
    step = None if as_is else run.step or next_step(ledger.connection, job, run)
    _begin(ledger, run, step, actor)


def _begin(ledger: Ledger, run: RunEntry, step: str | None, actor: str) -> None:
    give_up_attempt(ledger, run, run.reason or Reason.LOST)
    begin_attempt(ledger, run, ledger.now, actor=actor, costs=step is None, step=step)


def _set_detour(ledger: Ledger, job: JobEntry, manner: Manner) -> None:
    """From now on the leg is tried again in that manner. Raises Conflict, and InvalidPlan."""
    whole = get_job(ledger.connection, job.plan, org=job.org) if job.plan else None
    leg = get_job(ledger.connection, job.id, org=job.org)
    if whole is None or leg is None or leg.leg is None or job.undoes or job.origin:
        raise Conflict(f"{job.id} is no leg of a plan as it was written: retry it as it is")
    if manner.mode == RetryMode.ROLLBACK_TO and not manner.keys:
        raise InvalidPlan("rollback_to: name the legs to go back to")
    shape = arrange(decode(PlanRequest, peek(whole.sealed)).plan)
    detours = Detours(shape=shape, legs=_Legs(ledger, whole.id, shape), seal=manner.seal)
    ledger.touch(job, detour=detours.of_leg(leg.leg, manner.mode, manner.keys))


@dataclass(frozen=True, slots=True)
class _Legs:
    """The legs of a plan, by key."""

    ledger: Ledger
    plan: JobId
    shape: Shape

    def __call__(self, key: str) -> Known:
        """The leg as it stands, and its nodes. Raises InvalidPlan if there is none."""
        name = leg_id(self.plan, key)
        found = get_job(self.ledger.connection, name, org=None)
        if found is None:
            raise InvalidPlan(f"there is no leg {key}")
        nodes: list[NodeId] = nodes_of(self.ledger.connection, name)
        return Known(found, nodes)


def resolve(ledger: Ledger, run: RunEntry, outcome: State, actor: str) -> None:
    """Let a paused run have come to that; if a step before another try did, go on from there."""
    if run.step is not None and outcome is State.SUCCEEDED:
        _begin(ledger, run, next_step(ledger.connection, ledger.job_of(run), run), actor)
        return
    reason = None if outcome is State.SUCCEEDED else run.reason
    end(ledger, run, outcome, reason, actor)


def end(ledger: Ledger, run: RunEntry, outcome: State, reason: Reason | None, actor: str) -> None:
    """Let a paused run end as a person says; a node that may still be at it is told."""
    handed = may_be_handed(ledger, run)
    ledger.move(run, [outcome], actor=actor, reason=reason, detail={"resolved": True})
    run.change(ended_at=ledger.now, statusmsg=f"{outcome}, as {actor} says", expire_at=None)
    if handed:
        recall(ledger, run, Pending.CANCEL, actor=actor)
