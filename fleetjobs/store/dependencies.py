"""Dependencies: which job waits for which, judged when the other one ends."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Select,
    bindparam,
    delete,
    exists,
    insert,
    select,
    update,
)

from fleetjobs.jobs import Dependency, JobId, NodeId
from fleetjobs.messages import After
from fleetjobs.states import Reason, StartIf, State
from fleetjobs.store.entries import COORDINATOR, RunEntry
from fleetjobs.store.ledger import Ledger
from fleetjobs.store.outbox import line_up
from fleetjobs.store.schema import dependencies, jobs, runs
from fleetjobs.store.standing import path

_WHOLE = ""  #: in place of a node: the whole job


def judge(state: State, when: StartIf) -> bool | None:
    """Whether an end is the one that was waited for; None while there is none.

    spec/semantics.md, E5.
    """
    if not state.is_terminal:
        return None
    if when in {StartIf.COMPLETED, StartIf.ALWAYS}:
        return True
    return state is (State.SUCCEEDED if when is StartIf.SUCCEEDED else State.FAILED)


def settle(ledger: Ledger) -> set[JobId]:
    """Write what changed, then judge who waited for what ended, and so on; gives what changed.

    Round by round rather than by recursion: a chain may have a thousand links.
    """
    moved = set(ledger.write())
    while ledger.ended:
        open_ones = _waiting_for(ledger)
        if not open_ones:
            break
        ledger = _judged(ledger, open_ones)
        moved |= ledger.write()
    return moved


def _waiting_for(ledger: Ledger) -> list[Dependency]:
    """The open dependencies on what the ledger has ended."""
    ended = {job for job, _ in ledger.ended}
    found = _read(ledger.connection, _OPEN_ON, ids=sorted(ended))
    return [item for item in found if _named(item) in _over(ledger)]


def _over(ledger: Ledger) -> set[tuple[JobId, NodeId | None]]:
    return {*ledger.ended, *((job, None) for job in ledger.ended_jobs)}


def _named(item: Dependency) -> tuple[JobId, NodeId | None]:
    return item.on_job, item.on_node


def _judged(over: Ledger, items: Sequence[Dependency]) -> Ledger:
    """A ledger of the jobs that waited, in which they go on, go on waiting, or are skipped."""
    ledger = Ledger.of_jobs(over.connection, {item.job for item in items}, over.now)
    for item in items:
        state = _state(over, item)
        if judge(state, item.when):
            _note_met(over.connection, item)
        else:
            skip(ledger, item, state)
    for job in sorted({item.job for item in items}):
        if not is_blocked(over.connection, job):
            release(ledger, job)
    return ledger


def _state(over: Ledger, item: Dependency) -> State:
    entry = over.job(item.on_job) if item.on_node is None else over.run(item.on_job, item.on_node)
    if entry is None:
        raise LookupError(f"{item.on_job} is not in the ledger that ended it")
    return entry.state


def skip(ledger: Ledger, item: Dependency, state: State) -> None:
    """End what waited for another end than this one."""
    name = item.on_job if item.on_node is None else f"{item.on_job}@{item.on_node}"
    why = f"it was to start if {name} {item.when}, which is {state}"
    for run in ledger.runs_of(item.job):
        if run.state in {State.WAITING, State.SCHEDULED, State.PAUSED} and run.queued_at is None:
            ledger.move(
                run,
                path(run.state, State.SKIPPED),
                actor=COORDINATOR,
                reason=Reason.DEPENDENCY_FAILED,
                detail={"job": item.on_job, "node": item.on_node, "state": state},
            )
            run.change(statusmsg=why, ended_at=ledger.now, dispatch_at=None, expire_at=None)


def release(ledger: Ledger, job: JobId) -> None:
    """Let the job's runs go on that no person holds."""
    for run in ledger.runs_of(job):
        if run.state is State.WAITING and run.dispatch_at is None:
            line_up(ledger, run, actor=COORDINATOR)


def _note_met(connection: Connection, item: Dependency) -> None:
    same = (
        dependencies.c.job == item.job,
        dependencies.c.on_job == item.on_job,
        dependencies.c.on_node == (item.on_node or _WHOLE),
    )
    connection.execute(update(dependencies).where(*same).values(met=True))


def is_blocked(connection: Connection, job: JobId) -> bool:
    """Whether the job waits for another one."""
    query = select(exists().where(dependencies.c.job == job, ~dependencies.c.met))
    return bool(connection.execute(query).scalar_one())


def set_dependencies(connection: Connection, job: JobId, after: Sequence[After]) -> None:
    """Have the job wait for these and no others; what ended as wished already is met.

    What ended otherwise stays open; `find_unmet` finds it.
    """
    connection.execute(delete(dependencies).where(dependencies.c.job == job))
    rows = [
        {
            "job": job,
            "on_job": item.job,
            "on_node": item.node or _WHOLE,
            "when": item.when,
            "met": bool(judge(state, item.when)) if state else False,
        }
        for item, state in named_states(connection, after)
    ]
    if rows:
        connection.execute(insert(dependencies), rows)


def find_unmet(connection: Connection, job: JobId) -> tuple[Dependency, State] | None:
    """What the job waits for in vain, and how that ended; None while there is hope."""
    for item in list_dependencies(connection, job):
        if not item.met:
            after = After(job=item.on_job, node=item.on_node, when=item.when)
            ((_, state),) = named_states(connection, [after])
            if state is not None and judge(state, item.when) is False:
                return item, state
    return None


def skip_in_vain(ledger: Ledger, job: JobId) -> None:
    """End the job's unstarted runs if what it waits for has ended otherwise already."""
    found = find_unmet(ledger.connection, job)
    if found is not None:
        skip(ledger, *found)


def block(ledger: Ledger, run: RunEntry) -> bool:
    """Whether a run that is about to go on has to wait for another job."""
    return run.attempt == 1 and is_blocked(ledger.connection, run.job)


def named_states(
    connection: Connection, after: Sequence[After], *, org: str | None = None
) -> list[tuple[After, State | None]]:
    """How the named jobs and runs stand, locked until the transaction ends; None: unknown.

    `org` None: whosever they are.
    """
    ids = sorted({item.job for item in after})
    if not ids:
        return []
    locked = select(jobs.c.id, jobs.c.state).where(jobs.c.id.in_(ids)).order_by(jobs.c.id)
    if org is not None:
        locked = locked.where(jobs.c.org == org)
    found: dict[tuple[JobId, NodeId | None], State] = {
        (row.id, None): row.state for row in connection.execute(locked.with_for_update())
    }
    named = {item.node for item in after if item.node is not None}
    if named:
        query = select(runs.c.job, runs.c.node, runs.c.state).where(
            runs.c.job.in_(ids), runs.c.node.in_(sorted(named))
        )
        known = {job for job, _ in found}
        rows = connection.execute(query)
        found |= {(row.job, row.node): row.state for row in rows if row.job in known}
    return [(item, found.get((JobId(item.job), _node(item)))) for item in after]


def _node(item: After) -> NodeId | None:
    return None if item.node is None else NodeId(item.node)


def list_dependencies(connection: Connection, job: JobId) -> list[Dependency]:
    """What the job waits for, or waited for."""
    return _read(connection, _DEPENDENCIES.where(dependencies.c.job == job))


def dependencies_of(
    connection: Connection, names: Sequence[JobId]
) -> dict[JobId, list[Dependency]]:
    """What each of the jobs waits for, or waited for; those that never did are left out."""
    found: dict[JobId, list[Dependency]] = {}
    for item in _read(connection, _OF_JOBS, ids=list(names)):
        found.setdefault(item.job, []).append(item)
    return found


def list_dependants(connection: Connection, job: JobId) -> list[Dependency]:
    """Who waits, or waited, for the job."""
    return _read(connection, _DEPENDENCIES.where(dependencies.c.on_job == job))


_DEPENDENCIES = select(dependencies).order_by(
    dependencies.c.job, dependencies.c.on_job, dependencies.c.on_node
)


_IDS: BindParameter[str] = bindparam("ids", expanding=True)
_OPEN_ON = _DEPENDENCIES.where(dependencies.c.on_job.in_(_IDS), ~dependencies.c.met)
_OF_JOBS = _DEPENDENCIES.where(dependencies.c.job.in_(_IDS))


def _read(connection: Connection, query: Select[Any], **values: Any) -> list[Dependency]:
    return [
        Dependency(**{**row, "on_node": row["on_node"] or None})
        for row in connection.execute(query, values).mappings()
    ]


def is_named_by_live() -> ColumnElement[bool]:
    """Of `jobs`: whether a live job waits for it, or did."""
    waiting = jobs.alias()
    return exists().where(
        dependencies.c.on_job == jobs.c.id,
        dependencies.c.job == waiting.c.id,
        waiting.c.ended_at.is_(None),
    )


def leads_to(connection: Connection, after: Sequence[After], job: JobId) -> bool:
    """Whether any of these waits, directly or not, for the job: then it may not wait for them."""
    seen: set[str] = set()
    front = {item.job for item in after}
    while front:
        if job in front:
            return True
        seen |= front
        query = select(dependencies.c.on_job).where(dependencies.c.job.in_(sorted(front)))
        front = set(connection.execute(query).scalars()) - seen
    return False
