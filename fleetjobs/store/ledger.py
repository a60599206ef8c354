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
from fleetjobs.jobs import JobId, NodeId
from fleetjobs.messages import Stage
from fleetjobs.states import Reason, State, Tally, WaitReason, check_move, completion
from fleetjobs.store import dialect
from fleetjobs.store.events import add_events, event_row
from fleetjobs.store.jobs import dump_tally, read_tally
from fleetjobs.store.schema import jobs, runs
from fleetjobs.store.standing import job_path

COORDINATOR = "coordinator"  #: the actor of what follows from the runs by itself

RunName = tuple[JobId, NodeId]  #: names a run


@dataclass(slots=True, kw_only=True)
class RunEntry:
    """A run while it is being moved."""

    job: JobId
    node: NodeId
    org: str
    state: State
    attempt: int
    stage: Stage | None
    queued_at: datetime | None
    expire_at: datetime | None
    found: State = field(init=False)  # as it was read
    changes: dict[str, Any] = field(default_factory=dict)  # column -> new value, beside the state

    def __post_init__(self) -> None:
        self.found = self.state


@dataclass(slots=True, kw_only=True)
class JobEntry:
    """A job while its runs are being moved."""

    id: JobId
    org: str
    state: State
    tally: Tally
    started_at: datetime | None
    began_at: datetime | None = None  # the earliest start seen now
    last: Reason | None = None  # of the run that ended last


class Ledger:
    """Locks the jobs of the runs it is opened for, until the transaction ends."""

    def __init__(self, connection: Connection, names: Iterable[RunName], now: datetime) -> None:
        """Lock the jobs, always in the same order, and read the runs."""
        self._connection = connection
        self._now = now
        self._events: list[dict[str, Any]] = []
        names = sorted(set(names))
        self._jobs = _lock_jobs(connection, {job for job, _ in names})
        self._runs = _read_runs(connection, names)
        self._moved: set[JobId] = set()

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
        began_at: datetime | None = None,
        detail: dict[str, Any] | None = None,
    ) -> None:
        """Take the run through these states; `reason` and `detail` are the last one's.

        Raises InvalidTransition.
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
                job.began_at = min(filter(None, (job.began_at, began_at)), default=self._now)
            job.tally[run.state] -= 1
            job.tally[new] += 1
            run.state = new
        if steps:
            job.last = reason
            run.changes |= {"state": run.state, "wait_reason": None, "reason": reason}
            self._moved.add(run.job)

    def note(self, run: RunEntry, kind: str, **event: Any) -> None:
        """Log something about the run; the rest as `event_row` takes it."""
        self._events.append(
            event_row(at=self._now, org=run.org, job=run.job, node=run.node, kind=kind, **event)
        )

    def write(self) -> set[JobId]:
        """Write what changed; gives the jobs whose runs moved. Raises InvalidTransition."""
        _write_runs(self._connection, self._runs.values())
        changed = [self._derive(self._jobs[job]) for job in sorted(self._moved)]
        _update(self._connection, jobs, changed, ("id",))
        add_events(self._connection, self._events)
        return self._moved

    def _derive(self, job: JobEntry) -> dict[str, Any]:
        """The job's columns, now that its runs have moved; logs its own moves."""
        begun = bool(job.started_at or job.began_at)
        found = job.state
        for new in job_path(found, job.tally, begun=begun):
            check_move(job.state, new)
            reason = _job_reason(job, new)
            self._events.append(
                event_row(
                    at=self._now,
                    org=job.org,
                    job=job.id,
                    kind=f"job.{new}",
                    actor=COORDINATOR,
                    old=job.state,
                    new=new,
                    reason=reason,
                )
            )
            job.state = new
        ended = job.state.is_terminal
        return {
            "_id": job.id,
            "_state": found,
            "state": job.state,
            "wait_reason": WaitReason.OUTBOX if job.state is State.WAITING else None,
            "reason": _job_reason(job, job.state),
            "tally": dump_tally(job.tally),
            "completion": completion(job.tally) if ended else None,
            "started_at": min(filter(None, (job.started_at, job.began_at)), default=None),
            "ended_at": self._now if ended else None,
        }


def _job_reason(job: JobEntry, state: State) -> Reason | None:
    """Why a job ended so: with one run the run's own reason."""
    if not state.is_terminal:
        return None
    if job.tally.total() == 1:
        return job.last
    return {State.FAILED: Reason.RUNS_FAILED, State.EXPIRED: Reason.START_BEFORE}.get(state)


def _lock_jobs(connection: Connection, ids: set[JobId]) -> dict[JobId, JobEntry]:
    if not ids:
        return {}
    query = (
        select(jobs.c.id, jobs.c.org, jobs.c.state, jobs.c.tally, jobs.c.started_at)
        .where(jobs.c.id.in_(sorted(ids)))
        .order_by(jobs.c.id)
        .with_for_update()  # SQLite needs none: its writers come one at a time
    )
    return {
        row["id"]: JobEntry(**{**row, "tally": read_tally(row["tally"])})
        for row in connection.execute(query).mappings()
    }


_READ = ("job", "node", "org", "state", "attempt", "stage", "queued_at", "expire_at")


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
    """One statement for all runs that change the same columns."""
    alike: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for entry in entries:
        if entry.changes:
            name = {"_job": entry.job, "_node": entry.node, "_state": entry.found}
            alike[tuple(sorted(entry.changes))].append(entry.changes | name)
    for rows in alike.values():
        _update(connection, runs, rows, ("job", "node"))


def _update(
    connection: Connection, table: Any, rows: list[dict[str, Any]], key: tuple[str, ...]
) -> None:
    """Compare and set: a row that is no longer in the state it was read in stops everything."""
    if not rows:
        return
    same = [table.c[name] == bindparam(f"_{name}") for name in (*key, "state")]
    new: dict[str, Any] = {name: bindparam(name) for name in rows[0] if not name.startswith("_")}
    written = connection.execute(update(table).where(*same).values(new), rows).rowcount
    if written != len(rows):
        raise InvalidTransition(f"{len(rows) - written} {table.name} changed under a lock")
