"""Notifier: what is to be told is sent, until its sink has taken it."""

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID, uuid5

from fleetjobs.errors import Unavailable, Undelivered
from fleetjobs.notices import Kind, Notice, Topic, read_sink
from fleetjobs.store.database import Database
from fleetjobs.store.notices import (
    add_notices,
    due_notices,
    forget_notices,
    make_notice,
    mark_told,
    mark_untold,
    next_notice,
    overlong_jobs,
)
from fleetjobs.store.telling import tell_overlong

BATCH = 20
OVERLONG = 200  #: jobs that take too long, of which one pass makes notices
AT_ONCE = 4  #: sinks, so that a slow one keeps few waiting
FIRST = timedelta(seconds=10)  #: after the first failure; then twice that, and so on
LONGEST = timedelta(hours=1)
GIVE_UP = timedelta(days=2)
KEEP = timedelta(days=30)
_OURS = UUID("5f3a0e0e-52b5-5b0f-9d0e-2f6f0b7c9c11")  #: names mistakes of our own
logger = logging.getLogger(__name__)


class Way(Protocol):
    """A way to a sink."""

    def send(self, address: str, notice: Notice) -> None:
        """Taken on return. Raises Undelivered."""


@dataclass(frozen=True, slots=True)
class Notifier:
    """A pass over what is to be told. It may be told twice, by the same id; never not at all.

    It waits for nobody else, and nobody waits for it.
    """

    database: Database
    clock: Callable[[], datetime]
    ways: Mapping[Kind, Way]

    def step(self) -> int:
        """Tell some of what is due; how much it was. Raises DatabaseAway."""
        now = self.clock()
        with self.database.reading() as connection:
            over = overlong_jobs(connection, now, OVERLONG)
        if over:
            with self.database.transaction() as connection:
                tell_overlong(connection, over, now)
        with self.database.reading() as connection:
            due = due_notices(connection, self.clock(), BATCH)
        if due:
            with ThreadPoolExecutor(AT_ONCE) as pool:
                list(pool.map(self._tell, due))
        return len(due)

    def next_at(self) -> datetime | None:
        """When the next one is due. Raises DatabaseAway."""
        with self.database.reading() as connection:
            return next_notice(connection)

    def tidy(self) -> None:
        """Forget what was told long ago."""
        with self.database.transaction() as connection:
            forget_notices(connection, self.clock() - KEEP)

    def _tell(self, notice: Notice) -> None:
        error = self._send(notice)
        with self.database.transaction() as connection:
            if error is None:
                mark_told(connection, notice.id, self.clock())
            else:
                mark_untold(connection, notice.id, error, self._again(notice))
        if error is not None:
            logger.warning("notification %s to %s: %s", notice.id, notice.sink, error)

    def _send(self, notice: Notice) -> str | None:
        try:
            sink = read_sink(notice.sink)
            self.ways[sink.kind].send(sink.address, notice)
        except Undelivered as error:
            return str(error)
        except Exception as error:  # the rim of a loop: one bad notice must not keep the others
            logger.exception("notification %s", notice.id)
            return f"{type(error).__name__}: {error}"
        return None

    def _again(self, notice: Notice) -> datetime | None:
        now = self.clock()
        if now - notice.created_at > GIVE_UP:
            return None
        doubled: int = 2 ** min(notice.tries, 20)
        return now + min(FIRST * doubled, LONGEST)


@dataclass(frozen=True, slots=True)
class Alarm:
    """Tells those who run the fleet of mistakes of our own, of each loop once an hour."""

    database: Database
    clock: Callable[[], datetime]
    sinks: tuple[str, ...]

    def tell(self, loop: str, error: Exception) -> None:
        """A step of that loop failed."""
        now = self.clock()
        hour = now.replace(minute=0, second=0, microsecond=0)
        document = {"loop": loop, "error": f"{type(error).__name__}: {error}"[:500]}
        found = [
            make_notice(
                id=str(uuid5(_OURS, f"{loop} {hour.isoformat()} {sink}")),
                org=None,
                topic=Topic.EXCEPTION,
                sink=sink,
                document=document,
                now=now,
            )
            for sink in self.sinks
        ]
        try:
            with self.database.transaction() as connection:
                add_notices(connection, found)
        except Unavailable as away:
            logger.warning("nobody could be told that %s failed: %s", loop, away)
