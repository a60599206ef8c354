"""Locked: the jobs and runs that one transaction has to itself, in memory."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from functools import cache

from sqlalchemy import Connection, Executable, select

from fleetjobs.jobs import Kind
from fleetjobs.names import JobId, NodeId
from fleetjobs.store import dialect
from fleetjobs.store.entries import JobEntry, RunEntry, RunName
from fleetjobs.store.locking import lock_jobs, plans_of, read_runs
from fleetjobs.store.schema.jobs import jobs
from fleetjobs.store.schema.runs import runs


class Locked:
    """Locks the jobs of the runs it is asked for, until the transaction ends.

    The plan first, then its legs: whoever moves one leg of a plan has all of it to themselves.
    """

    def __init__(self, connection: Connection) -> None:
        """Nothing yet; see `include`."""
        self.connection = connection
        self._jobs: dict[JobId, JobEntry] = {}
        self._runs: dict[RunName, RunEntry] = {}
        self._nodes: dict[JobId, set[NodeId]] = defaultdict(set)

    def include(self, names: Iterable[RunName]) -> None:
        """Also these runs, and their jobs."""
        wanted = sorted({name for name in names if name not in self._runs})
        self.lock({job for job, _ in wanted})
        for name, run in read_runs(self.connection, wanted).items():
            self._runs[name] = run
            self._nodes[run.job].add(run.node)

    def include_jobs(self, ids: Collection[JobId]) -> None:
        """Also these jobs, with all their runs."""
        self.lock(ids)
        if ids:
            query = _runs_of(sqlite=dialect.is_sqlite(self.connection))
            found = self.connection.execute(query, dialect.name_values(self.connection, ids))
            self.include([(row.job, row.node) for row in found])

    def include_plans(self) -> None:
        """Also all that is left to do of the plans whose legs are here."""
        plans = {job.plan for job in self._jobs.values() if job.plan is not None}
        query = select(jobs.c.id).where(jobs.c.plan.in_(sorted(plans)), jobs.c.ended_at.is_(None))
        self.include_jobs(set(self.connection.execute(query).scalars()))

    def lock(self, ids: Collection[JobId]) -> None:
        """Also these jobs, without their runs."""
        new = {job for job in ids if job not in self._jobs}
        if new:
            self._jobs |= lock_jobs(
                self.connection, plans_of(self.connection, new) - self._jobs.keys()
            )
            self._jobs |= lock_jobs(self.connection, new - self._jobs.keys())

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
        return [self._runs[job, node] for node in sorted(self._nodes[job])]

    def plans(self) -> list[JobEntry]:
        """The plans that the ledger was opened for, or for parts of."""
        return [job for _, job in sorted(self._jobs.items()) if job.kind is Kind.PLAN]

    def all_runs(self) -> list[RunEntry]:
        """All that the ledger was opened for."""
        return [run for _, run in sorted(self._runs.items())]

    def run(self, job: JobId, node: NodeId) -> RunEntry | None:
        """The run, if there is one."""
        return self._runs.get((job, node))


@cache
def _runs_of(*, sqlite: bool) -> Executable:
    table = dialect.names(sqlite=sqlite)
    return select(runs.c.job, runs.c.node).join_from(table, runs, table.c.name == runs.c.job)
