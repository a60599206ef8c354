"""Reaper: ask after runs nobody reports, and end or set aside what nobody answers for."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from fleetjobs.names import JobId
from fleetjobs.store.agenda import look_for_chores
from fleetjobs.store.attempts import Chance
from fleetjobs.store.bells import CHANGES, DISPATCH
from fleetjobs.store.database import Database, ring, ring_changes
from fleetjobs.store.deadlines import end_overdue, runs_overdue
from fleetjobs.store.handovers import ask_again, runs_to_ask
from fleetjobs.store.judging import settle
from fleetjobs.store.ledger import Ledger
from fleetjobs.store.losses import lose_runs, runs_lost
from fleetjobs.store.questions import forget_questions
from fleetjobs.store.replies import no_jitter
from fleetjobs.store.rollouts import rollouts_due, wake_rollouts
from fleetjobs.store.twins import tell_twins

BATCH = 500


def _deaf() -> datetime | None:
    return None


@dataclass(frozen=True, slots=True)
class Reaper:
    """A pass over what is overdue; when nothing is, it only reads, and once."""

    database: Database
    clock: Callable[[], datetime]
    hears_since: Callable[[], datetime | None] = _deaf  # None: nodes are not heard; none is lost
    chance: Chance = no_jitter

    def step(self) -> int:
        """Take one batch of each; how many it was. Raises DatabaseAway."""
        now = self.clock()
        with self.database.reading() as connection:
            due = look_for_chores(connection, now)
        done = 0
        if due.overdue:
            done += self._expire(now)
        if due.silent:
            done += self._ask(now)
        if due.lost:
            done += self._lose(now)
        if due.rested:
            done += self._wake(now)
        if due.outdated:
            with self.database.transaction() as connection:
                forget_questions(connection, now)
        if due.twins:
            with self.database.transaction() as connection:
                tell_twins(connection, now)
        return done

    def _expire(self, now: datetime) -> int:
        with self.database.transaction() as connection:
            overdue = runs_overdue(connection, now, BATCH)
            moved = end_overdue(connection, overdue, now, since=self.hears_since())
            ring_changes(connection, moved)
        return len(overdue)

    def _wake(self, now: datetime) -> int:
        with self.database.transaction() as connection:
            due = rollouts_due(connection, now, BATCH)
            ledger = Ledger(connection, (), now)
            wake_rollouts(ledger, due)
            moved = settle(ledger)
            ring_changes(connection, moved)
        return len(due)

    def _ask(self, now: datetime) -> int:
        with self.database.transaction() as connection:
            silent = runs_to_ask(connection, now, BATCH)
            ask_again(connection, silent, now)
            ring(connection, DISPATCH)
        return len(silent)

    def _lose(self, now: datetime) -> int:
        since = self.hears_since()
        if since is None:
            return 0
        with self.database.reading() as connection:
            lost = runs_lost(connection, now, since, BATCH)
        if lost:
            with self.database.transaction() as connection:
                moved: set[JobId] = lose_runs(connection, lost, now, chance=self.chance)
                ring(connection, CHANGES, ",".join(sorted(moved)))
        return len(lost)
