"""Scheduler: occurrences of schedules become jobs when they come."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from fleetjobs.control.acceptance import Acceptance
from fleetjobs.control.occurrences import Sitting
from fleetjobs.control.works import Seal
from fleetjobs.crashpoints import crash_point
from fleetjobs.store.database import Database
from fleetjobs.store.schedules import due_entries, next_due

BATCH = 100  #: schedules a transaction serves


@dataclass(frozen=True, slots=True)
class Scheduler:
    """A pass over the schedules that are due.

    An occurrence, its job and the schedule's next one are written together, under the schedule's
    lock, and the job's id says of which occurrence it is: of two that both believe they lead, or
    one that is killed between, none makes a job twice. Whether its owner may still ask for it is
    seen when it is handed over; see `coordinator.warden`.
    """

    database: Database
    clock: Callable[[], datetime]
    seal: Seal
    _acceptance: Acceptance = field(default_factory=Acceptance)

    def step(self) -> int:
        """Serve one batch; how many schedules it was. Raises DatabaseAway."""
        now = self.clock()
        with self.database.reading() as connection:
            upcoming = next_due(connection)
        if upcoming is None or upcoming > now:
            return 0
        with self.database.transaction() as connection:
            due = due_entries(connection, now, BATCH)
            Sitting(
                connection=connection, acceptance=self._acceptance, seal=self.seal, now=now
            ).serve(due)
            crash_point("scheduler_before_commit")
        crash_point("scheduler_after_commit")
        return len(due)

    def next_at(self) -> datetime | None:
        """When the next occurrence of any schedule comes. Raises DatabaseAway."""
        with self.database.reading() as connection:
            return next_due(connection)
