"""Ledger: the jobs and runs that one transaction moves: locked, changed in memory, written at once.

Whoever moves a run does it here, so tallies, states of jobs and events cannot disagree. Cost per
run is the same whether its job has one or ten thousand: the tally moves by what changed.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from fleetjobs.jobs import JobId, NodeId
from fleetjobs.states import Reason, State, WaitReason, check_move, completion
from fleetjobs.store.bells import DISPATCH
from fleetjobs.store.database import ring
from fleetjobs.store.entries import (
    JOB_COLUMNS,
    JobEntry,
    RunEntry,
    RunName,
    lock_jobs,
    read_runs,
    update_alike,
    write_runs,
)
from fleetjobs.store.events import add_events, event_row
from fleetjobs.store.jobs import dump_tally
from fleetjobs.store.schema import jobs, runs
from fleetjobs.store.standing import job_path

ACCOUNT = "account:"  #: how the actor begins that is a person or a robot


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
        self._jobs = lock_jobs(connection, {job for job, _ in names})
        self._runs = read_runs(connection, names)
        self._moved: set[JobId] = set()

    @classmethod
    def of_jobs(cls, connection: Connection, ids: Iterable[JobId], now: datetime) -> "Ledger":
        """Of whole jobs: locked first, so that no run of theirs is missed."""
        wanted = set(ids)
        lock_jobs(connection, wanted)
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
            if name in JOB_COLUMNS:
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
        write_runs(self.connection, self._runs.values())
        self.ended = {
            name
            for name, run in self._runs.items()
            if run.state.is_terminal and not run.found.is_terminal
        }
        changed = [self._derive(self._jobs[job]) for job in sorted(self._moved)]
        if any(run.is_due(self.now) for run in self._runs.values()):
            ring(self.connection, DISPATCH)
        update_alike(self.connection, jobs, changed, ("id",))
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
