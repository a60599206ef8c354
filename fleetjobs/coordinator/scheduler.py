"""Scheduler: occurrences of schedules become jobs when they come."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from fleetjobs.control.acceptance import Acceptance
from fleetjobs.control.occurrences import Sitting
from fleetjobs.control.works import Seal
from fleetjobs.coordinator.lead import COORDINATOR
from fleetjobs.crashpoints import crash_point
from fleetjobs.store.database import Database
from fleetjobs.store.events import add_event
from fleetjobs.store.schedules import due_entries, next_due

BATCH = 100  #: schedules a transaction serves
SET_BACK = timedelta(seconds=60)  #: less is a clock that is put right
logger = logging.getLogger(__name__)


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
    _looked_at: list[datetime] = field(default_factory=list)  # the last time, or none

    def step(self) -> int:
        """Serve one batch; how many schedules it was. Raises DatabaseAway."""
        now = self.clock()
        self._watch(now)
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

    def _watch(self, now: datetime) -> None:
        """Say that the clock was set back: nothing comes again, so for a while nothing comes."""
        before = self._looked_at[0] if self._looked_at else now
        self._looked_at[:] = [now]
        if before - now < SET_BACK:
            return
        logger.warning(
            "the clock was set back by %s; what has come does not come again", before - now
        )
        detail = {"by_s": (before - now).total_seconds(), "from": before.isoformat()}
        with self.database.transaction() as connection:
            add_event(connection, at=now, kind="clock.set_back", actor=COORDINATOR, detail=detail)

    def next_at(self) -> datetime | None:
        """When the next occurrence of any schedule comes. Raises DatabaseAway."""
        with self.database.reading() as connection:
            return next_due(connection)
