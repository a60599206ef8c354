"""Dependencies: which job waits for which, judged when the other one ends."""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from functools import cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Executable,
    Select,
    bindparam,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)

from fleetjobs.jobs import Dependency
from fleetjobs.names import JobId, NodeId
from fleetjobs.requests import After
from fleetjobs.states import StartIf, State
from fleetjobs.store import dialect
from fleetjobs.store.bulk import write_rows
from fleetjobs.store.entries import RunName
from fleetjobs.store.locking import plans_of
from fleetjobs.store.schema.jobs import dependencies, jobs
from fleetjobs.store.schema.runs import runs

ADDING = 7_261_003  #: the advisory lock under which accepted jobs are made to wait for others
WHOLE = NodeId("")  #: in place of a node: the whole job
_KEY = ("job", "node", "on_job", "on_node")


def judge(state: State, when: StartIf) -> bool | None:
    """Whether an end is the one that was waited for; None while there is none."""
    if not state.is_terminal:
        return None
    if when in {StartIf.COMPLETED, StartIf.ALWAYS}:
        return True
    return state is (State.SUCCEEDED if when is StartIf.SUCCEEDED else State.FAILED)


def waiting_for(
    connection: Connection, ended: Iterable[tuple[JobId, NodeId | None]]
) -> list[Dependency]:
    """The open dependencies on these runs, and jobs."""
    names = [(job, node or WHOLE) for job, node in ended]
    query = _open_on(sqlite=dialect.is_sqlite(connection))
    return _read(connection, query, **dialect.pair_values(connection, names))


def open_in_plans(connection: Connection, plans: Sequence[JobId]) -> list[Dependency]:
    """All open dependencies on parts of these plans, whoever waits."""
    part = jobs.alias()
    query = _DEPENDENCIES.join(part, part.c.id == dependencies.c.on_job)
    return _read(connection, query.where(part.c.plan.in_(plans), ~dependencies.c.met))


def replace_links(
    connection: Connection, job: JobId, on_job: JobId | None, links: Sequence[Dependency]
) -> None:
    """Have the job's runs wait for these, instead of what they wait for now.

    With `on_job` instead of what they wait for of that one alone.
    """
    old = delete(dependencies).where(dependencies.c.job == job)
    if on_job is not None:
        old = old.where(dependencies.c.on_job == on_job)
    connection.execute(old)
    add_links(connection, links)


def add_links(connection: Connection, links: Iterable[Dependency]) -> None:
    """Keep what runs wait for."""
    rows = [
        {
            "job": item.job,
            "node": item.node or WHOLE,
            "on_job": item.on_job,
            "on_node": item.on_node or WHOLE,
            "when": item.when,
            "met": item.met,
        }
        for item in links
    ]
    if rows:
        write_rows(connection, _LINKING, rows)


_LINKING = insert(dependencies)


def note_met(connection: Connection, items: Sequence[Dependency]) -> None:
    """These have ended as was wished."""
    if not items:
        return  # as often in a plan of which one leg after the other is left out
    rows = [
        {
            "_job": item.job,
            "_node": item.node or WHOLE,
            "_on_job": item.on_job,
            "_on_node": item.on_node or WHOLE,
        }
        for item in items
    ]
    write_rows(connection, _MEETING, rows)


_MEETING = (
    update(dependencies)
    .where(*(dependencies.c[name] == bindparam(f"_{name}") for name in _KEY))
    .values(met=True)
)


def blocked_runs(connection: Connection, names: AbstractSet[tuple[JobId, str]]) -> set[RunName]:
    """Which of these runs, and of the runs of whole jobs among these, wait for something else.

    A whole job is named without a node, here and there; it is blocked if all its runs are.
    """
    if not names:
        return set()
    sqlite = dialect.is_sqlite(connection)
    asked = sorted(names | {(job, WHOLE) for job, _ in names})
    rows = connection.execute(_open_of_runs(sqlite=sqlite), dialect.pair_values(connection, asked))
    found: set[RunName] = {(row.job, row.node) for row in rows}
    whole = sorted({job for job, node in names if node == WHOLE})
    if whole:
        values = dialect.name_values(connection, whole)
        rows = connection.execute(_open_of_jobs(sqlite=sqlite), values)
        found |= {(row.job, row.node) for row in rows}
    return found | {(job, NodeId(node)) for job, node in names if (job, WHOLE) in found}


_OPEN = select(dependencies.c.job, dependencies.c.node).where(~dependencies.c.met)


@cache
def _open_of_runs(*, sqlite: bool) -> Executable:
    asked = dialect.pairs(sqlite=sqlite)
    same = (dependencies.c.job == asked.c.job) & (dependencies.c.node == asked.c.node)
    return _OPEN.join_from(asked, dependencies, same)


@cache
def _open_of_jobs(*, sqlite: bool) -> Executable:
    asked = dialect.names(sqlite=sqlite)
    return _OPEN.join_from(asked, dependencies, dependencies.c.job == asked.c.name)


def is_blocked(connection: Connection, job: JobId, node: NodeId) -> bool:
    """Whether the job's run there waits for something to end."""
    same = dependencies.c.job == job, dependencies.c.node.in_([WHOLE, node])
    query = select(exists().where(*same, ~dependencies.c.met))
    return bool(connection.execute(query).scalar_one())


def set_dependencies(connection: Connection, job: JobId, after: Sequence[After]) -> None:
    """Have the job wait for these and no others; what ended as wished already is met.

    What ended otherwise stays open; `skip_in_vain` finds it.
    """
    connection.execute(delete(dependencies).where(dependencies.c.job == job))
    rows = [
        {
            "job": job,
            "on_job": item.job,
            "on_node": item.node or WHOLE,
            "when": item.when,
            "met": bool(judge(state, item.when)) if state else False,
        }
        for item, state in named_states(connection, after)
    ]
    if rows:
        connection.execute(insert(dependencies), rows)


def named_states(
    connection: Connection, after: Sequence[After], *, org: str | None = None
) -> list[tuple[After, State | None]]:
    """How the named jobs and runs stand, locked until the transaction ends; None: unknown.

    Their plans first, as whoever ends them does. `org` None: whosever they are.
    """
    ids = sorted({item.job for item in after})
    if not ids:
        return []
    whole = plans_of(connection, [JobId(name) for name in ids])
    if whole and not dialect.is_sqlite(connection):
        above = select(jobs.c.id).where(jobs.c.id.in_(sorted(whole))).order_by(jobs.c.id)
        connection.execute(above.with_for_update()).all()
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
    """What the job, or single runs of it, waits or waited for."""
    return _read(connection, _DEPENDENCIES.where(dependencies.c.job == job))


def dependencies_of(
    connection: Connection, names: Sequence[JobId]
) -> dict[JobId, list[Dependency]]:
    """What each of the jobs waits or waited for as a whole; those that never did are left out."""
    found: dict[JobId, list[Dependency]] = {}
    for item in _read(connection, _OF_JOBS, ids=list(names)):
        found.setdefault(item.job, []).append(item)
    return found


_DEPENDENCIES = select(dependencies).order_by(
    dependencies.c.job, dependencies.c.node, dependencies.c.on_job, dependencies.c.on_node
)


_IDS: BindParameter[str] = bindparam("ids", expanding=True)
_OF_JOBS = _DEPENDENCIES.where(dependencies.c.job.in_(_IDS), dependencies.c.node == WHOLE)


@cache
def _open_on(*, sqlite: bool) -> Select[Any]:
    over = dialect.pairs(sqlite=sqlite)
    named = (dependencies.c.on_job == over.c.job) & (dependencies.c.on_node == over.c.node)
    return _DEPENDENCIES.join_from(over, dependencies, named).where(~dependencies.c.met)


def _read(connection: Connection, query: Select[Any], **values: Any) -> list[Dependency]:
    return [
        Dependency(**{**row, "node": row["node"] or None, "on_node": row["on_node"] or None})
        for row in connection.execute(query, values).mappings()
    ]


def is_named_by_live() -> ColumnElement[bool]:
    """Of `jobs`: whether a live job waits for it, or for a leg of it, or did."""
    waiting, part = jobs.alias(), jobs.alias()
    by_live = (dependencies.c.job == waiting.c.id, waiting.c.ended_at.is_(None))
    itself = exists().where(dependencies.c.on_job == jobs.c.id, *by_live)
    of_it = (part.c.plan == jobs.c.id, dependencies.c.on_job == part.c.id)
    return itself | exists().where(*of_it, *by_live)


def begin_adding(connection: Connection) -> None:
    """Let nobody else make an accepted job wait for others before the transaction has ended.

    Of two at a time neither would see what the other adds, and both might close a circle. First
    of all locks: whoever waits for it holds up nobody.
    """
    if not dialect.is_sqlite(connection):  # which lets one writer in at a time
        connection.execute(select(func.pg_advisory_xact_lock(ADDING)))


def leads_to(connection: Connection, after: Sequence[After], job: JobId) -> bool:
    """Whether any of these waits, directly or not, for the job: then it may not wait for them.

    Or will wait for it, once a node has given back what is to be edited.
    """
    seen: set[str] = set()
    front = {item.job for item in after}
    while front:
        if job in front:
            return True
        seen |= front
        query = select(dependencies.c.on_job).where(dependencies.c.job.in_(sorted(front)))
        edits = select(jobs.c.edit).where(jobs.c.id.in_(sorted(front)), jobs.c.edit.is_not(None))
        to_be = [edit for edit in connection.execute(edits).scalars() if edit]
        front = {item["job"] for edit in to_be for item in edit["after"]}
        front |= set(connection.execute(query).scalars())
        front -= seen
    return False
