"""Ledger: the jobs and runs that one transaction moves: locked, changed in memory, written at once.

Whoever moves a run does it here, so tallies, states of jobs and events cannot disagree. Cost per
run is the same whether its job has one or ten thousand: the tally moves by what changed.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from fleetjobs.errors import InvalidTransition
from fleetjobs.jobs import JobId, NodeId, Pending
from fleetjobs.messages import Stage
from fleetjobs.states import Reason, State, Tally, WaitReason, check_move, completion
from fleetjobs.store import dialect
from fleetjobs.store.bells import DISPATCH
from fleetjobs.store.database import ring
from fleetjobs.store.events import add_events, event_row
from fleetjobs.store.jobs import dump_tally, read_tally
from fleetjobs.store.schema import jobs, runs
from fleetjobs.store.standing import job_path

COORDINATOR = "coordinator"  #: the actor of what follows from the runs by itself

ACCOUNT = "account:"  #: how the actor begins that is a person or a robot
RunName = tuple[JobId, NodeId]  #: names a run


@dataclass(slots=True, kw_only=True)
class RunEntry:
    """A run while it is being moved."""

    job: JobId
    node: NodeId
    org: str
    state: State
    wait_reason: WaitReason | None
    reason: Reason | None
    attempt: int
    tries: int
    generation: int
    pending: Pending | None
    pending_at: datetime | None
    attention: bool
    stage: Stage | None
    queued_at: datetime | None
    dispatch_at: datetime | None
    expire_at: datetime | None
    found: State = field(init=False)  # as it was read
    needed: bool = field(init=False)
    changes: dict[str, Any] = field(default_factory=dict)  # column -> new value

    def __post_init__(self) -> None:
        self.found = self.state
        self.needed = self.attention

    def is_due(self, now: datetime) -> bool:
        """Whether the dispatcher has something new to do for it."""
        alarms = (self.changes.get(name) for name in ("dispatch_at", "order_at"))
        return any(alarm is not None and alarm <= now for alarm in alarms)

    def change(self, **values: Any) -> None:
        """Give its columns other values, and show them here at once."""
        for name, value in values.items():
            if name in _READ:
                setattr(self, name, value)
        self.changes |= values


@dataclass(slots=True, kw_only=True)
class JobEntry:
    """A job while its runs are being moved."""

    id: JobId
    org: str
    state: State
    wait_reason: WaitReason | None
    reason: Reason | None
    tally: Tally
    needing: int  # runs that need a person
    not_before: datetime | None
    start_before: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    version: int
    max_attempts: int
    retry_delay_s: float
    lost_after_s: float
    retry_lost: bool
    edit: dict[str, Any] | None
    began_at: datetime | None = None  # the earliest start seen now
    last: Reason | None = None  # of the run that was moved last
    actor: str = COORDINATOR  # or the account that moved its runs
    waits: WaitReason | None = None  # of the run that was made to wait last
    changes: dict[str, Any] = field(default_factory=dict)  # column -> new value


class Ledger:
    """Locks the jobs of the runs it is opened for, until the transaction ends."""

    def __init__(self, connection: Connection, names: Iterable[RunName], now: datetime) -> None:
        """Lock the jobs, always in the same order, and read the runs."""
        self.connection = connection
        self.now = now
        self.ended: set[RunName] = set()  # by what was written
        self.ended_jobs: set[JobId] = set()
        self._events: list[dict[str, Any]] = []
        names = sorted(set(names))
        self._jobs = _lock_jobs(connection, {job for job, _ in names})
        self._runs = _read_runs(connection, names)
        self._moved: set[JobId] = set()

    @classmethod
    def of_jobs(cls, connection: Connection, ids: Iterable[JobId], now: datetime) -> "Ledger":
        """Of whole jobs: locked first, so that no run of theirs is missed."""
        wanted = set(ids)
        _lock_jobs(connection, wanted)
        query = select(runs.c.job, runs.c.node).where(runs.c.job.in_(sorted(wanted)))
        return cls(connection, [(row.job, row.node) for row in connection.execute(query)], now)

    def job(self, job: JobId) -> JobEntry | None:
        """The job, if there is one."""
        return self._jobs.get(job)

    def job_of(self, run: RunEntry) -> JobEntry:
        """The job the run belongs to."""
        return self._jobs[run.job]

    def job_named(self, job: JobId) -> JobEntry:
        """The job, known to be there."""
        return self._jobs[job]

    def runs_of(self, job: JobId) -> list[RunEntry]:
        """The runs of the job, of those the ledger was opened for, by node."""
        return [run for name, run in sorted(self._runs.items()) if name[0] == job]

    def touch(self, job: JobEntry, **columns: Any) -> None:
        """Give the job's columns other values."""
        for name, value in columns.items():
            if name in _JOB_READ:
                setattr(job, name, value)
        job.changes |= columns
        self._moved.add(job.id)

    def run(self, job: JobId, node: NodeId) -> RunEntry | None:
        """The run, if there is one."""
        return self._runs.get((job, node))

    def move(
        self,
        run: RunEntry,
        path: Iterable[State],
        *,
        actor: str,
        reason: Reason | None = None,
        wait: WaitReason | None = None,
        began_at: datetime | None = None,
        detail: dict[str, Any] | None = None,
    ) -> None:
        """Take the run through these states; `reason`, `wait` and `detail` are the last one's.

        A paused run needs a person, unless a person holds it. Raises InvalidTransition.
        """
        job = self._jobs[run.job]
        steps = tuple(path)
        for new in steps:
            check_move(run.state, new)
            ends = new is steps[-1]
            self.note(
                run,
                f"run.{new}",
                actor=actor,
                old=run.state,
                new=new,
                reason=reason if ends else None,
                detail=detail if ends else None,
            )
            if new is State.RUNNING:
                job.began_at = min(filter(None, (job.began_at, began_at)), default=self.now)
            job.tally[run.state] -= 1
            job.tally[new] += 1
            run.state = new
        if steps:
            job.last = reason
            if actor.startswith(ACCOUNT):
                job.actor = actor
            if run.state is not State.WAITING:
                wait = None
            elif wait is None:
                wait = WaitReason.OUTBOX
            job.waits = wait or job.waits
            run.change(state=run.state, wait_reason=wait, reason=reason)
            self.need(run, run.state is State.PAUSED and reason is not Reason.HOLD)
            self._moved.add(run.job)

    def need(self, run: RunEntry, needed: bool) -> None:  # noqa: FBT001  it is what is said
        """Say whether a person has to decide about the run."""
        if run.attention != needed:
            self._jobs[run.job].needing += 1 if needed else -1
            run.change(attention=needed)
            self._moved.add(run.job)

    def wait_for(self, run: RunEntry, reason: WaitReason) -> None:
        """A waiting run now waits for something else."""
        if run.wait_reason is not reason:
            run.change(wait_reason=reason)
            self._jobs[run.job].waits = reason
            self._moved.add(run.job)

    def note_job(self, job: JobEntry, kind: str, **event: Any) -> None:
        """Log something about the job; the rest as `event_row` takes it."""
        self._events.append(event_row(at=self.now, org=job.org, job=job.id, kind=kind, **event))

    def note(self, run: RunEntry, kind: str, **event: Any) -> None:
        """Log something about the run; the rest as `event_row` takes it."""
        self._events.append(
            event_row(at=self.now, org=run.org, job=run.job, node=run.node, kind=kind, **event)
        )

    def write(self) -> set[JobId]:
        """Write what changed; gives the jobs that did. Raises InvalidTransition.

        `dependencies.settle` calls it, and then judges who waited for what ended.
        """
        _write_runs(self.connection, self._runs.values())
        self.ended = {
            name
            for name, run in self._runs.items()
            if run.state.is_terminal and not run.found.is_terminal
        }
        changed = [self._derive(self._jobs[job]) for job in sorted(self._moved)]
        if any(run.is_due(self.now) for run in self._runs.values()):
            ring(self.connection, DISPATCH)
        _update_alike(self.connection, jobs, changed, ("id",))
        add_events(self.connection, self._events)
        return self._moved

    def _derive(self, job: JobEntry) -> dict[str, Any]:
        """The job's columns, now that its runs have moved; logs its own moves."""
        begun = bool(job.started_at or job.began_at)
        found = job.state
        way = job_path(found, job.tally, begun=begun, begins=job.began_at is not None)
        for new in way:
            check_move(job.state, new)
            reason = _job_reason(job, new)
            self._events.append(
                event_row(
                    at=self.now,
                    org=job.org,
                    job=job.id,
                    kind=f"job.{new}",
                    actor=job.actor,
                    old=job.state,
                    new=new,
                    reason=reason,
                )
            )
            job.state = new
        ended = job.state.is_terminal
        if ended and not found.is_terminal:
            self.ended_jobs.add(job.id)
            job.ended_at = self.now
        return {
            **job.changes,
            "_id": job.id,
            "_state": found,
            "state": job.state,
            "wait_reason": _job_wait(job),
            "reason": _job_reason(job, job.state) if way else job.reason,
            "tally": dump_tally(job.tally),
            "completion": completion(job.tally) if ended else None,
            "needing": job.needing,
            "attention": job.needing > 0,
            "started_at": min(filter(None, (job.started_at, job.began_at)), default=None),
            "ended_at": job.ended_at,
        }


def _job_wait(job: JobEntry) -> WaitReason | None:
    """What a waiting job waits for: as the run that was made to wait last."""
    if job.state is not State.WAITING:
        return None
    return job.waits or job.wait_reason or WaitReason.OUTBOX


def _job_reason(job: JobEntry, state: State) -> Reason | None:
    """Why a job ended or stands so: with one run the run's own reason."""
    if state is State.PAUSED:
        return job.last
    if not state.is_terminal:
        return None
    if job.tally.total() == 1 or state is State.SKIPPED:
        return job.last
    return {State.FAILED: Reason.RUNS_FAILED, State.EXPIRED: Reason.START_BEFORE}.get(state)


_JOB_READ = (
    *("id", "org", "state", "wait_reason", "reason", "tally", "needing"),
    *("not_before", "start_before", "started_at", "ended_at", "version"),
    *("max_attempts", "retry_delay_s", "lost_after_s", "retry_lost", "edit"),
)


def _lock_jobs(connection: Connection, ids: set[JobId]) -> dict[JobId, JobEntry]:
    if not ids:
        return {}
    query = (
        select(*(jobs.c[name] for name in _JOB_READ))
        .where(jobs.c.id.in_(sorted(ids)))
        .order_by(jobs.c.id)
        .with_for_update()  # SQLite needs none: its writers come one at a time
    )
    return {
        row["id"]: JobEntry(**{**row, "tally": read_tally(row["tally"])})
        for row in connection.execute(query).mappings()
    }


_READ = (
    *("job", "node", "org", "state", "wait_reason", "reason", "attempt", "tries", "generation"),
    *("pending", "pending_at", "attention", "stage", "queued_at", "dispatch_at", "expire_at"),
)


def _read_runs(connection: Connection, names: list[RunName]) -> dict[RunName, RunEntry]:
    if not names:
        return {}
    wanted = dialect.pairs(connection, names)
    query = select(*(runs.c[name] for name in _READ)).join_from(
        wanted, runs, (runs.c.job == wanted.c.job) & (runs.c.node == wanted.c.node)
    )
    found: dict[RunName, RunEntry] = {}
    for row in connection.execute(query):
        entry = RunEntry(**dict(zip(_READ, row, strict=True)))
        found[entry.job, entry.node] = entry
    return found


def _write_runs(connection: Connection, entries: Iterable[RunEntry]) -> None:
    rows = [
        entry.changes | {"_job": entry.job, "_node": entry.node, "_state": entry.found}
        for entry in entries
        if entry.changes
    ]
    _update_alike(connection, runs, rows, ("job", "node"))


def _update_alike(
    connection: Connection, table: Any, rows: list[dict[str, Any]], key: tuple[str, ...]
) -> None:
    """One statement for all rows that change the same columns."""
    alike: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        alike[tuple(sorted(row))].append(row)
    for same in alike.values():
        _update(connection, table, same, key)


def _update(
    connection: Connection, table: Any, rows: list[dict[str, Any]], key: tuple[str, ...]
) -> None:
    """Compare and set: a row that is no longer in the state it was read in stops everything."""
    same = [table.c[name] == bindparam(f"_{name}") for name in (*key, "state")]
    new: dict[str, Any] = {name: bindparam(name) for name in rows[0] if not name.startswith("_")}
    written = connection.execute(update(table).where(*same).values(new), rows).rowcount
    if written != len(rows):
        raise InvalidTransition(f"{len(rows) - written} {table.name} changed under a lock")
