"""Followers: jobs that an action asked for, in the `next` of its reply.

They are kept with the reply that asks for them, in one transaction: a reply counts once, and so
its followers are made once. A leg's followers are parts of its plan, and of the group it is in;
those of any other job stand beside it, and are counted by nobody.
"""

from collections.abc import Collection, Sequence
from functools import cache

from sqlalchemy import Connection, Executable, func, select, text

from fleetjobs.jobs import Job, Kind
from fleetjobs.names import JobId
from fleetjobs.states import Reason, State
from fleetjobs.store import dialect
from fleetjobs.store.accepting import job_columns
from fleetjobs.store.bells import DISPATCH
from fleetjobs.store.columns import printable
from fleetjobs.store.database import ring
from fleetjobs.store.entries import COORDINATOR, JobEntry
from fleetjobs.store.events import add_events
from fleetjobs.store.ledger import Ledger
from fleetjobs.store.plans import Part, accepted, insert_parts_runs
from fleetjobs.store.schema.jobs import FOLLOWS, jobs
from fleetjobs.store.standing import SOON

_FOLLOWS = text(f"jobs.{FOLLOWS.text}")


def keep_followers(ledger: Ledger, parts: Sequence[Part]) -> list[Job]:
    """Keep them, unless a job of their id is there; gives those that were kept."""
    if not parts:
        return []
    connection = ledger.connection
    statement = dialect.insert(connection, jobs).on_conflict_do_nothing().returning(jobs.c.id)
    rows = [job_columns(part.job, part.meaning) for part in parts]
    ids = set(connection.execute(statement, rows).scalars())
    kept = [part for part in parts if part.job.id in ids]
    insert_parts_runs(connection, kept)
    add_events(connection, [accepted(part, part.job.plan or part.job.id) for part in kept])
    if any(part.dispatch_at and part.dispatch_at <= ledger.now + SOON for part in kept):
        ring(connection, DISPATCH)
    for part in kept:
        _count(ledger, part.job)
    return [part.job for part in kept]


def _count(ledger: Ledger, follower: Job) -> None:
    """Let the plan, and the groups in it, know that they have one more part."""
    name = None if follower.parent == follower.origin else follower.parent
    below: JobEntry | None = None
    while name is not None:
        ledger.include_jobs([name])
        entry = ledger.job_named(name)
        weight = follower.weight
        ledger.touch(entry, weights=entry.weights + weight, weight=entry.weight + weight)
        if below is None:
            entry.tally[follower.state] += 1
        else:
            entry.progress += weight * below.told.done
        below, name = entry, entry.above


def fail_followers(ledger: Ledger, refused: Sequence[tuple[Job, Reason, str]]) -> None:
    """End those that may not be: they never reach a node."""
    ledger.include_jobs([job.id for job, _, _ in refused])
    for job, reason, why in refused:
        for run in ledger.runs_of(job.id):
            ledger.move(run, [State.FAILED], actor=COORDINATOR, reason=reason, detail={"why": why})
            run.change(statusmsg=printable(why), ended_at=ledger.now, expire_at=None)


def depth_of(connection: Connection, job: Job) -> int:
    """How many jobs it follows, one after the other; 0 if no action asked for it."""
    depth, above = 0, job.origin
    while above is not None:
        depth += 1
        above = connection.execute(select(jobs.c.origin).where(jobs.c.id == above)).scalar()
    return depth


def count_followers(connection: Connection, root: JobId) -> int:
    """How many follow in the plan, or follow the job, at whatever depth."""
    query = select(func.count()).select_from(jobs).where(jobs.c.plan == root, _FOLLOWS)
    return int(connection.execute(query).scalar_one())


def last_position(connection: Connection, root: JobId) -> int:
    """The last place in the plan that is taken."""
    query = select(func.max(jobs.c.position)).where(jobs.c.plan == root)
    return int(connection.execute(query).scalar() or 0)


def followers_of(connection: Connection, ids: Collection[JobId]) -> list[JobId]:
    """What follows these jobs, at whatever depth."""
    found: list[JobId] = []
    front = sorted(ids)
    while front:
        query = _following(sqlite=dialect.is_sqlite(connection))
        front = list(connection.execute(query, dialect.name_values(connection, front)).scalars())
        found += front
    return found


def children_of(connection: Connection, job: Job, limit: int) -> list[JobId]:
    """The parts directly in a plan or group, or what a job's action asked for, in their order."""
    asked = (jobs.c.plan == root_of(job)) & (jobs.c.origin == job.id) & _FOLLOWS
    inside = asked if job.kind is Kind.ACTION else jobs.c.parent == job.id
    query = select(jobs.c.id).where(inside).order_by(jobs.c.position).limit(limit)
    return list(connection.execute(query).scalars())


def root_of(job: Job) -> JobId:
    """The plan that it is a part of, or the first job that it follows, or itself."""
    return job.plan or job.id


@cache
def _following(*, sqlite: bool) -> Executable:
    """Along the index: its first column is the plan."""
    table, above = dialect.names(sqlite=sqlite), jobs.alias()
    root = func.coalesce(above.c.plan, above.c.id)
    query = select(jobs.c.id).select_from(table)
    query = query.join(above, above.c.id == table.c.name)
    return query.join(jobs, (jobs.c.plan == root) & (jobs.c.origin == above.c.id)).where(_FOLLOWS)
