"""Reaper: ask after runs nobody reports, and end those that nobody started in time."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from fleetjobs.store.bells import CHANGES, DISPATCH
from fleetjobs.store.database import Database, ring
from fleetjobs.store.handovers import ask_again, expire_runs, runs_overdue, runs_to_ask

BATCH = 500


@dataclass(frozen=True, slots=True)
class Reaper:
    """A pass over what is overdue; when nothing is, it only reads."""

    database: Database
    clock: Callable[[], datetime]

    def step(self) -> int:
        """Take one batch of each; how many runs it was. Raises DatabaseAway."""
        now = self.clock()
        with self.database.reading() as connection:
            overdue = runs_overdue(connection, now, BATCH)
            silent = runs_to_ask(connection, now, BATCH)
        if not overdue and not silent:
            return 0
        with self.database.transaction() as connection:
            moved = expire_runs(connection, overdue, now)
            if moved:
                ring(connection, CHANGES, ",".join(sorted(moved)))
            if silent:
                ask_again(connection, silent, now)
                ring(connection, DISPATCH)
        return len(overdue) + len(silent)
