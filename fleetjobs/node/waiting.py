"""Waiting: the accepted runs that have not been started, by when they may and when they must."""

import heapq
from dataclasses import dataclass
from datetime import datetime

from fleetjobs.spool.attempts import RunDirectory, RunKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One accepted run."""

    run: RunDirectory
    since: datetime
    not_before: datetime | None  # None: at once, whatever the clock says
    start_before: datetime | None


class WaitingRuns:
    """All of them, found by time without looking through them.

    The clock may be set back: it holds up only those that asked for a time.
    """

    def __init__(self) -> None:
        self._known: dict[RunKey, Waiting] = {}
        self._ready: list[tuple[datetime, RunKey]] = []  # due; since when
        self._timed: list[tuple[datetime, RunKey]] = []  # not yet due
        self._by_end: list[tuple[datetime, RunKey]] = []

    def __len__(self) -> int:
        return len(self._known)

    def add(self, waiting: Waiting) -> None:
        """Take in a run that is not known yet."""
        key = waiting.run.key
        self._known[key] = waiting
        if waiting.not_before is None:
            heapq.heappush(self._ready, (waiting.since, key))
        else:
            heapq.heappush(self._timed, (waiting.not_before, key))
        if waiting.start_before is not None:
            heapq.heappush(self._by_end, (waiting.start_before, key))

    def take_due(self, now: datetime) -> Waiting | None:
        """The run that has been due for longest, if any is due; it waits no more."""
        if self.next_due(now) is None or not self._ready:
            return None
        return self._known.pop(heapq.heappop(self._ready)[1])

    def take_expired(self, now: datetime) -> Waiting | None:
        """A run that may not be started any more, if there is one; it waits no more."""
        end = self.next_end()
        if end is None or end >= now:
            return None
        return self._known.pop(heapq.heappop(self._by_end)[1])

    def next_due(self, now: datetime) -> datetime | None:
        """When the next run may start: now, later, or None if none waits."""
        while (timed := self._first(self._timed)) is not None and timed <= now:
            heapq.heappush(self._ready, heapq.heappop(self._timed))
        return timed if self._first(self._ready) is None else now

    def next_end(self) -> datetime | None:
        """When the next run may not be started any more."""
        return self._first(self._by_end)

    def _first(self, heap: list[tuple[datetime, RunKey]]) -> datetime | None:
        """The earliest time, once those that wait no more are out of the way."""
        while heap and not self._is_current(*heap[0]):
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def _is_current(self, at: datetime, key: RunKey) -> bool:
        """Whether the entry is of the run as it waits now: it may have come back meanwhile."""
        known = self._known.get(key)
        return known is not None and at in {known.since, known.not_before, known.start_before}
