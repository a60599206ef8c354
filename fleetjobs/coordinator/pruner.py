"""Pruner: forget what nobody will read, some at a time."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from fleetjobs.names import JobId
from fleetjobs.store.database import Database
from fleetjobs.store.pruning import (
    forget_attempts,
    forget_jobs,
    forget_legs,
    forget_logs,
    old_jobs,
    old_legs,
    old_logs,
)

BATCH = 50  #: jobs, each of which may have ten thousand runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long after a job's end each is kept."""

    jobs: timedelta = timedelta(days=365)
    logs: timedelta = timedelta(days=30)
    attempts: timedelta = timedelta(days=7)  # those before the last one of each run
    legs: timedelta | None = None  # of plans that succeeded; None: as long as the plan


@dataclass(frozen=True, slots=True)
class Pruner:
    """A pass over what is old."""

    database: Database
    clock: Callable[[], datetime]
    keep: Retention

    def step(self) -> int:
        """Forget one batch; how many jobs it touched. Raises DatabaseAway."""
        now = self.clock()
        with self.database.reading() as connection:
            forgotten = old_jobs(connection, now - self.keep.jobs, BATCH)
            silenced = old_logs(connection, now - self.keep.logs, BATCH)
            legs = self.keep.legs
            bare = [] if legs is None else old_legs(connection, now - legs, BATCH)
        with self.database.transaction() as connection:
            forget_legs(connection, bare)
            forget_jobs(connection, forgotten)
            forget_logs(connection, silenced)
            forget_attempts(connection, now - self.keep.attempts)
        return len(forgotten) + len(silenced) + len(bare)

    def foretell(self, limit: int) -> list[JobId]:
        """The jobs it would forget now, the oldest first. Raises DatabaseAway."""
        with self.database.reading() as connection:
            return old_jobs(connection, self.clock() - self.keep.jobs, limit)
