"""Judging: who waited for what has ended goes on, goes on waiting, or is skipped."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from fleetjobs.jobs import Dependency
from fleetjobs.names import JobId
from fleetjobs.requests import After
from fleetjobs.states import Reason, StartIf, State
from fleetjobs.store import dialect
from fleetjobs.store.dependencies import (
    WHOLE,
    blocked_runs,
    is_blocked,
    judge,
    list_dependencies,
    named_states,
    note_met,
)
from fleetjobs.store.entries import COORDINATOR, RunEntry, RunName
from fleetjobs.store.ledger import Ended, Ledger
from fleetjobs.store.outbox import line_up
from fleetjobs.store.rollbacks import roll_back
from fleetjobs.store.rollouts import roll_on
from fleetjobs.store.standing import path
from fleetjobs.store.waits import Waits


def settle(ledger: Ledger, ended: Sequence[Ended] = ()) -> set[JobId]:
    """Judge who waited for what ended, and so on, then write what changed; gives what changed.

    `ended` beside what the ledger has ended itself. Round by round rather than by recursion: a
    chain may have ten thousand links.
    """
    ended = [*ended, *ledger.advance()]
    waits = Waits(ledger)
    while ended or roll_back(ledger):
        items = waits.for_what(ended)
        if items:
            _judge(ledger, waits, items)
        roll_on(ledger, ended)
        ended = ledger.advance()
    return ledger.write()


def _judge(ledger: Ledger, waits: Waits, items: Sequence[Dependency]) -> None:
    """Let those that waited go on, go on waiting, or be skipped."""
    met: list[Dependency] = []
    unmet: list[Dependency] = []
    for item in items:
        (met if judge(_state(ledger, item), item.when) else unmet).append(item)
    note_met(ledger.connection, met)
    names = {(item.job, item.node or WHOLE) for item in met}
    blocked = _blocked(ledger, names)
    free = [item for item in met if not blocked & {(item.job, item.node or WHOLE)}]
    unread = waits.unread((*free, *unmet))
    ledger.include_jobs({item.job for item in unread if item.node is None})
    ledger.include((item.job, item.node) for item in unread if item.node is not None)
    for item in unmet:
        skip(ledger, item, _state(ledger, item))
    for item in free:
        for run in _runs(ledger, item):
            if (run.job, run.node) not in blocked:
                release(ledger, run)


def _blocked(ledger: Ledger, names: AbstractSet[tuple[JobId, str]]) -> set[RunName]:
    """Which of these wait for something else.

    Asked again under the locks of their jobs: what ends at the same moment in another transaction
    is not seen before, nor is what ends here seen there, and each would leave them to the other.
    """
    blocked = blocked_runs(ledger.connection, names)
    unsure = {job for job, _ in blocked if ledger.job(job) is None}
    if not unsure or dialect.is_sqlite(ledger.connection):  # whose writers queue
        return blocked
    ledger.lock(unsure)
    return blocked_runs(ledger.connection, names)


def _state(ledger: Ledger, item: Dependency) -> State:
    named = item.on_job, item.on_node
    entry = ledger.job(named[0]) if named[1] is None else ledger.run(named[0], named[1])
    if entry is None:
        raise LookupError(f"{item.on_job} is not in the ledger that ended it")
    return entry.state


def _runs(ledger: Ledger, item: Dependency) -> list[RunEntry]:
    """Those that wait for it."""
    if item.node is None:
        return ledger.runs_of(item.job)
    run = ledger.run(item.job, item.node)
    return [] if run is None else [run]


def skip(ledger: Ledger, item: Dependency, state: State) -> None:
    """End what waited for another end than this one."""
    name = item.on_job if item.on_node is None else f"{item.on_job}@{item.on_node}"
    why = f"it was to start if {name} {item.when}, which is {state}"
    in_reserve = item.when is StartIf.FAILED and state is State.SUCCEEDED
    for run in _runs(ledger, item):
        if run.state in {State.WAITING, State.SCHEDULED, State.PAUSED} and run.queued_at is None:
            ledger.move(
                run,
                path(run.state, State.SKIPPED),
                actor=COORDINATOR,
                reason=Reason.START_IF if in_reserve else Reason.DEPENDENCY_FAILED,
                detail={"job": item.on_job, "node": item.on_node, "state": state},
            )
            run.change(statusmsg=why, ended_at=ledger.now, dispatch_at=None, expire_at=None)


def release(ledger: Ledger, run: RunEntry) -> None:
    """Let the run go on, unless a person holds it."""
    if run.is_blocked and run.dispatch_at is None:
        line_up(ledger, run, actor=COORDINATOR)


def skip_in_vain(ledger: Ledger, job: JobId) -> None:
    """End the job's unstarted runs if what they wait for has ended otherwise already."""
    items = [item for item in list_dependencies(ledger.connection, job) if not item.met]
    after = [After(job=item.on_job, node=item.on_node, when=item.when) for item in items]
    states = named_states(ledger.connection, after)
    for item, (_, state) in zip(items, states, strict=True):
        if state is not None and judge(state, item.when) is False:
            skip(ledger, item, state)


def block(ledger: Ledger, run: RunEntry) -> bool:
    """Whether a run that is about to go on has to wait for something to end."""
    return run.attempt == 1 and is_blocked(ledger.connection, run.job, run.node)
