"""Ledger: the jobs and runs that one transaction moves: locked, changed in memory, written at once.

Whoever moves a run does it here, so tallies, states of jobs and events cannot disagree. Cost per
run is the same whether its job has one or ten thousand: the tally moves by what changed, and so
do those of the group and the plan above it.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete

from fleetjobs.names import JobId, NodeId
from fleetjobs.states import Reason, State, WaitReason, check_move
from fleetjobs.store.bells import DISPATCH
from fleetjobs.store.database import ring
from fleetjobs.store.entries import COORDINATOR, JobEntry, RunEntry, RunName
from fleetjobs.store.events import add_events, event_row
from fleetjobs.store.lineage import derive_job, is_live, job_row, tell_parent
from fleetjobs.store.locked import Locked
from fleetjobs.store.locking import update_alike, write_runs
from fleetjobs.store.schema.jobs import jobs
from fleetjobs.store.schema.runs import runs
from fleetjobs.store.standing import SOON
from fleetjobs.store.telling import tell_moves

ACCOUNT = "account:"  #: how the actor begins that is a person or a robot
Ended = tuple[JobId, NodeId | None]  #: names what has ended: a run, or without a node a job


class Ledger(Locked):
    """Moves the runs it is opened for, derives their jobs, and writes both with the log."""

    def __init__(self, connection: Connection, names: Iterable[RunName], now: datetime) -> None:
        """Lock the jobs, always in the same order, and read the runs."""
        super().__init__(connection)
        self.now = now
        self._events: list[dict[str, Any]] = []
        self._moved: set[JobId] = set()
        self._stirred: set[JobId] = set()  # moved, and not derived since
        self._touched: set[RunName] = set()
        self.include(names)

    @classmethod
    def of_jobs(cls, connection: Connection, ids: Iterable[JobId], now: datetime) -> "Ledger":
        """Of whole jobs: locked first, so that no run of theirs is missed."""
        ledger = cls(connection, (), now)
        ledger.include_jobs(set(ids))
        return ledger

    def drop(self, run: RunEntry) -> None:
        """Forget a run that never began, as if it had never been."""
        self.connection.execute(delete(runs).where(runs.c.job == run.job, runs.c.node == run.node))
        job = self._jobs[run.job]
        job.tally[run.state] -= 1
        job.blocked -= run.counted
        del self._runs[run.job, run.node]
        self._nodes[run.job].discard(run.node)
        self._touched.discard((run.job, run.node))
        self.note(run, "run.dropped", actor=COORDINATOR)
        self._stirred.add(run.job)

    def touch(self, job: JobEntry, **columns: Any) -> None:
        """Give the job's columns other values."""
        job.set(**columns)
        self._stirred.add(job.id)

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
        steps = tuple(path)
        if not steps:
            return
        for new in steps[:-1]:
            self._pass(run, new, began_at, actor=actor)
        self._pass(run, steps[-1], began_at, actor=actor, reason=reason, detail=detail)
        job = self._jobs[run.job]
        job.last = reason
        if actor.startswith(ACCOUNT):
            job.actor = actor
        wait = (wait or WaitReason.OUTBOX) if run.state is State.WAITING else None
        job.waits = wait or job.waits
        run.change(state=run.state, wait_reason=wait, reason=reason)
        self.need(run, run.state is State.PAUSED and reason is not Reason.HOLD)
        self._stir(run)

    def _pass(self, run: RunEntry, new: State, began_at: datetime | None, **event: Any) -> None:
        """Take the run one state further."""
        check_move(run.state, new)
        self.note(run, f"run.{new}", old=run.state, new=new, **event)
        job = self._jobs[run.job]
        if new is State.RUNNING:
            job.began_at = min(filter(None, (job.began_at, began_at)), default=self.now)
        job.tally[run.state] -= 1
        job.tally[new] += 1
        run.state = new

    def _stir(self, run: RunEntry) -> None:
        self._touched.add((run.job, run.node))
        self._stirred.add(run.job)

    def need(self, run: RunEntry, needed: bool) -> None:  # noqa: FBT001  it is what is said
        """Say whether a person has to decide about the run."""
        if run.attention != needed:
            self._jobs[run.job].needing += 1 if needed else -1
            run.change(attention=needed)
            self._stir(run)

    def wait_for(self, run: RunEntry, reason: WaitReason) -> None:
        """A waiting run now waits for something else."""
        if run.wait_reason is not reason:
            run.change(wait_reason=reason)
            self._jobs[run.job].waits = reason
            self._stir(run)

    def tell(self, run: RunEntry, percent: float | None, doing: str) -> None:
        """How far its program says that it has come; a percentage never falls."""
        known = [each for each in (run.percent, percent) if each is not None]
        run.change(percent=max(known, default=None), doing=doing)
        self._stir(run)

    def note_job(self, job: JobEntry, kind: str, **event: Any) -> None:
        """Log something about the job; the rest as `event_row` takes it."""
        self.log(event_row(at=self.now, org=job.org, job=job.id, plan=job.root, kind=kind, **event))

    def log(self, event: dict[str, Any]) -> None:
        """Log an event, made by `event_row`, in its turn."""
        self._events.append(event)

    def note(self, run: RunEntry, kind: str, **event: Any) -> None:
        """Log something about the run; the rest as `event_row` takes it."""
        self.note_job(self._jobs[run.job], kind, node=run.node, **event)

    def advance(self) -> list[Ended]:
        """What has ended since it was asked last: runs, and the jobs they were the last of.

        Raises InvalidTransition.
        """
        ended: list[Ended] = []
        for name in sorted(self._touched):
            run = self._runs[name]
            job = self._jobs[run.job]
            job.blocked += run.is_idle - run.counted
            job.progress += run.part - run.weighed
            run.counted, run.weighed = run.is_idle, run.part
            if run.state.is_terminal and not run.ended:
                run.ended = True
                ended.append(name)
        self._touched.clear()
        return [*ended, *self._derive(lambda job: not is_live(job) or job.is_given_up)]

    def _derive(self, wanted: Callable[[JobEntry], bool]) -> list[Ended]:
        """Derive such jobs whose runs have moved, and what they are parts of; gives those that end.

        The others later, once: else they would be told to wait in between.
        """
        ended: list[Ended] = []
        for level in self._levels():
            for job in sorted(level & self._stirred):
                entry = self._jobs[job]
                if not wanted(entry):
                    continue
                if derive_job(entry, self.now, self.note_job):
                    ended.append((job, None))
                self._stirred.discard(job)
                self._moved.add(job)
                if entry.above is not None:
                    tell_parent(entry, self._jobs[entry.above])
                    self._stirred.add(entry.above)
        return ended

    def _levels(self) -> list[set[JobId]]:
        """What has moved and what that is a part of, the innermost level first."""
        levels: list[set[JobId]] = []
        front = set(self._stirred)
        while front:
            levels.append(front)
            above = {self._jobs[job].above for job in front} - {None}
            front = {job for job in above if job is not None}
            self.lock(front)
        seen: set[JobId] = set()
        for level in reversed(levels):  # a plan stands above its deepest leg
            level.difference_update(seen)
            seen.update(level)
        return levels

    def write(self) -> set[JobId]:
        """Write what changed; gives the jobs that did. Raises InvalidTransition.

        `dependencies.settle` calls it, once it has judged who waited for what ended.
        """
        self.advance()
        self._derive(lambda _: True)
        self.write_runs()
        rows = [job_row(self._jobs[job]) for job in sorted(self._moved)]
        update_alike(self.connection, jobs, rows, ("id",))
        add_events(self.connection, self._events)
        tell_moves(self.connection, self._events, self.now)
        return self._moved

    def write_runs(self) -> None:
        """Write the runs that changed, so that they can be read. Raises InvalidTransition."""
        freed = [run for run in self._runs.values() if run.lane is not None and not run.keeps_lane]
        for run in freed:
            run.change(lane=None, lined_at=None, rank=None, slot_at=None)
        if freed or any(run.is_due(self.now + SOON) for run in self._runs.values()):
            ring(self.connection, DISPATCH)
        write_runs(self.connection, self._runs.values())
        for run in self._runs.values():
            if run.changes:
                run.found, run.changes = run.state, {}
