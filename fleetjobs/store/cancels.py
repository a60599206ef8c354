"""Cancels: call a run off, wherever it is."""

from fleetjobs.jobs import Pending
from fleetjobs.states import Reason, State
from fleetjobs.store.entries import RunEntry
from fleetjobs.store.ledger import Ledger
from fleetjobs.store.outbox import confirm, may_be_handed, recall
from fleetjobs.store.standing import path


def call_off(ledger: Ledger, run: RunEntry, *, actor: str, is_alive: bool, force: bool) -> bool:
    """End the run at once, or ask its node to; False if there is nothing left to do.

    Ended at once is what never reached a node, what its node is too silent to confirm, and what
    is forced; if a node may have it, it is told until it answers. Running, it has to be stopped.
    """
    if run.state.is_terminal or (run.state is State.CANCELLING and not force):
        return False
    handed = may_be_handed(ledger, run)
    asked = run.state is State.RUNNING or (run.state is State.QUEUED and is_alive)
    end = State.CANCELLING if asked and not force else State.CANCELLED
    ledger.move(run, path(run.state, end), actor=actor, reason=Reason.CANCELLED)
    if end is State.CANCELLED:
        run.change(ended_at=ledger.now, statusmsg="cancelled", expire_at=None, dispatch_at=None)
    if not handed:
        confirm(run)
    elif run.pending is not Pending.CANCEL:
        recall(ledger, run, Pending.CANCEL, actor=actor)
    return True
