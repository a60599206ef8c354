"""Rollbacks: a plan of which too much failed stops, and then goes back, never forward again.

All of it happens in the transaction that ends the last of what is at work: what takes the legs
back is kept with the plan's new state, once, or nothing of it is.
"""

from sqlalchemy import and_, or_, select

from fleetjobs.jobs import Pending
from fleetjobs.names import JobId
from fleetjobs.nodes import SILENT_AFTER
from fleetjobs.states import Reason, Rollback, State
from fleetjobs.store.bells import DISPATCH
from fleetjobs.store.cancels import call_off
from fleetjobs.store.database import ring
from fleetjobs.store.entries import COORDINATOR, JobEntry, RunEntry
from fleetjobs.store.ledger import Ledger
from fleetjobs.store.nodes import nodes_heard
from fleetjobs.store.outbox import may_be_handed, recall
from fleetjobs.store.schema.jobs import jobs
from fleetjobs.store.schema.runs import runs
from fleetjobs.store.standing import path
from fleetjobs.store.undoing import Done, insert_undoing, keys_of, what_was_done

_NAMED = 100  #: keys that an event lists at most
_UNBEGUN = (Reason.HOLD, Reason.DENIED, Reason.ROLLOUT)  #: why what never began is paused


def roll_back(ledger: Ledger) -> bool:
    """Have the plans that are to be taken back stop, and then go back; whether any moved."""
    moved = False
    for plan in ledger.plans():
        if not plan.reverts or plan.undoing is not None or plan.state.is_terminal:
            continue
        if plan.state is State.REVERTING:
            _go_back(ledger, plan)
            moved = True
        else:
            moved |= _stop(ledger, plan.id)
    return moved


def _stop(ledger: Ledger, plan: JobId) -> bool:
    """End what has not begun, and have nodes give back what they have not; whether there was any.

    What is at work comes to its end: whatever it does is undone then.
    """
    held = and_(runs.c.state == State.PAUSED, runs.c.reason.in_(_UNBEGUN))
    unstarted = runs.c.state.in_([State.SCHEDULED, State.WAITING, State.QUEUED])
    query = (
        select(runs.c.job, runs.c.node)
        .join(jobs, jobs.c.id == runs.c.job)
        .where(jobs.c.plan == plan, jobs.c.undoes.is_(None), or_(held, unstarted))
    )
    ledger.include((row.job, row.node) for row in ledger.connection.execute(query))
    found = [run for run in ledger.all_runs() if _may_be_left_out(ledger, run, plan)]
    nodes = sorted({run.node for run in found})
    heard = nodes_heard(ledger.connection, nodes, ledger.now - SILENT_AFTER) if nodes else set()
    for run in found:
        if run.state is State.QUEUED:
            alive = run.node in heard
            call_off(ledger, run, actor=COORDINATOR, is_alive=alive, force=False)
        else:
            _leave_out(ledger, run)
    return bool(found)


def _may_be_left_out(ledger: Ledger, run: RunEntry, plan: JobId) -> bool:
    job = ledger.job_of(run)
    if job.plan != plan or job.undoes is not None:
        return False
    held = run.state is State.PAUSED and run.reason in _UNBEGUN
    return held or run.state in {State.SCHEDULED, State.WAITING, State.QUEUED}


def _leave_out(ledger: Ledger, run: RunEntry) -> None:
    """What waits for its next attempt has failed; anything else never began."""
    handed = may_be_handed(ledger, run)
    end = State.FAILED if run.attempt > 1 and run.state is State.WAITING else State.SKIPPED
    why = "its plan is rolled back"
    way = path(run.state, end)
    ledger.move(run, way, actor=COORDINATOR, reason=Reason.DEPENDENCY_FAILED)
    run.change(statusmsg=why, ended_at=ledger.now, dispatch_at=None, expire_at=None)
    if handed:
        recall(ledger, run, Pending.CANCEL, actor=COORDINATOR)


def _go_back(ledger: Ledger, plan: JobEntry) -> None:
    """Make what takes back whatever was done, or end the plan if nothing was."""
    ledger.write_runs()
    done = what_was_done(ledger.connection, plan.id)
    fixed = keys_of(item for item in done if item.recipe is None)
    undone = [item for item in done if item.nodes]
    ledger.note_job(plan, "plan.rollback", actor=plan.actor, detail=_detail(undone, fixed))
    rollback = Rollback.NOT_REVERSIBLE if fixed else None
    ledger.touch(plan, rollback=rollback, irreversible=fixed or None)
    if not undone:
        ledger.touch(plan, undoing=State.SUCCEEDED, rollback=rollback or Rollback.DONE)
        return
    for event in insert_undoing(ledger.connection, plan, undone, ledger.now):
        ledger.log(event)
    ledger.touch(plan, undoing=State.WAITING, rollback_percent=0.0)
    ring(ledger.connection, DISPATCH)


def _detail(undone: list[Done], fixed: list[str]) -> dict[str, list[str]]:
    return {"legs": keys_of(undone)[:_NAMED], "not_reversible": fixed[:_NAMED]}
