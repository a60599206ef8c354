"""Listening: loops of the leading coordinator that wait for a bell, or for a time."""

from datetime import datetime
from typing import Protocol

from fleetjobs.clocks import now, patience
from fleetjobs.coordinator.lead import Lead
from fleetjobs.store.bells import Listener
from fleetjobs.store.database import Database


class Work(Protocol):
    """What there is to do, and when there is more."""

    def step(self) -> object:
        """Do some of it; false when nothing is left for now."""

    def next_at(self) -> datetime | None:
        """When more is due; None: not before a bell."""


class Listening:
    """Do all there is to do, if we lead; then wait for a bell, or for what is due next."""

    def __init__(
        self, database: Database, topic: str, work: Work, lead: Lead, *, every_s: float
    ) -> None:
        """Look every `every_s` seconds though no bell of the topic rings."""
        self._database = database
        self._topic = topic
        self._work = work
        self._lead = lead
        self._every_s = every_s
        self._listener: Listener | None = None

    def step(self) -> None:
        """Listen first, then look: what comes in between rings."""
        if self._listener is None:
            self._listener = self._database.listen(self._topic)
        while self._lead.is_ours and self._work.step():
            pass
        next_at = self._work.next_at() if self._lead.is_ours else None
        self._listener.wait(wait_s(next_at, self._every_s))

    def close(self) -> None:
        """Listen no more."""
        if self._listener is not None:
            self._listener.close()


def wait_s(next_at: datetime | None, most_s: float) -> float:
    """How long to wait for a bell: until something is due, or it is time to look in any case."""
    left = (next_at - now()).total_seconds() if next_at else most_s
    return patience(min(max(left, 0.0), most_s))
