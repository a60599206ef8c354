"""Cases: one job, or a plan with all its legs, locked while a person does something about it."""

from dataclasses import dataclass, field

from fleetjobs.jobs import Job, Kind
from fleetjobs.names import JobId
from fleetjobs.store.dependencies import blocked_runs
from fleetjobs.store.entries import RunEntry, RunName
from fleetjobs.store.followers import followers_of
from fleetjobs.store.ledger import Ledger


@dataclass(slots=True)
class Case:
    """One job, locked, or a plan with all its legs, and the runs that are meant."""

    ledger: Ledger
    job: JobId
    actor: str
    runs: list[RunEntry]
    changed: set[JobId] = field(default_factory=set)
    answer: list[Job] = field(default_factory=list)  # the job as it stands at the end

    @property
    def blocked(self) -> set[RunName]:
        """Those of the runs that wait for something to end."""
        names = {(run.job, run.node) for run in self.runs if run.attempt == 1}
        return blocked_runs(self.ledger.connection, names)

    def note(self, run: RunEntry, changed: bool) -> None:  # noqa: FBT001  it is what is said
        """Remember whether something was done about the run."""
        if changed:
            self.changed |= {self.job, run.job}

    def call_off(self) -> None:
        """Say of what is live of it that a person cancelled the whole."""
        for job in sorted(self._inside()):
            entry = self.ledger.job_named(job)
            if not entry.state.is_terminal:
                self.ledger.touch(entry, called_off=True)

    def add_followers(self) -> None:
        """Mean also what the job's action asked for."""
        if self.ledger.job_named(self.job).kind is Kind.ACTION:
            found = followers_of(self.ledger.connection, [self.job])
            self.ledger.include_jobs(found)
            self.runs += [run for job in found for run in self.ledger.runs_of(job)]

    def _inside(self) -> set[JobId]:
        """The job, and the legs and groups in it that have one of the runs, or what follows it."""
        if self.ledger.job_named(self.job).kind is Kind.ACTION:
            return {self.job, *(run.job for run in self.runs)}
        found = {self.job}
        for run in self.runs:
            above: JobId | None = run.job
            while above is not None and above not in found:
                found.add(above)
                above = self.ledger.job_named(above).parent
        return found
