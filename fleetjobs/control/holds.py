"""Holds: what has not begun is set aside by a person, and let go on."""

from fleetjobs.jobs import Pending
from fleetjobs.states import Reason, State
from fleetjobs.store.entries import RunEntry, RunName
from fleetjobs.store.ledger import Ledger
from fleetjobs.store.outbox import hold_back, line_up, may_be_handed, recall


def may_be_held(run: RunEntry) -> bool:
    """Whether it has not begun, or is held already."""
    held = run.state is State.PAUSED and run.reason is Reason.HOLD
    return held or run.state in {State.SCHEDULED, State.WAITING, State.QUEUED}


def hold(ledger: Ledger, run: RunEntry, actor: str) -> bool:
    """Set it aside, or have its node asked to give it back; False if there is nothing to do."""
    if run.state is State.QUEUED:
        if run.pending is Pending.HOLD:
            return False
        recall(ledger, run, Pending.HOLD, actor=actor)
        return True
    if run.state not in {State.SCHEDULED, State.WAITING}:
        return False
    handed = may_be_handed(ledger, run)
    hold_back(ledger, run, actor=actor)
    if handed:
        recall(ledger, run, Pending.HOLD, actor=actor)
    return True


def release(ledger: Ledger, run: RunEntry, blocked: set[RunName], actor: str) -> bool:
    """Let it go on; False if it was neither held nor denied.

    A hold that no node confirmed may have arrived: what comes next has to overrule it.
    """
    if run.state is State.QUEUED and run.pending in {Pending.HOLD, Pending.DENY}:
        recall(ledger, run, Pending.EDIT, actor=actor)
        return True
    if not run.is_set_aside:
        return False
    if run.reason is Reason.DENIED:
        run.change(statusmsg="")
    if run.pending is not None:
        run.change(generation=run.generation + 1, pending=None, pending_at=None, order_at=None)
    line_up(ledger, run, actor=actor, blocked=(run.job, run.node) in blocked)
    return True
