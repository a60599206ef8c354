"""Waiting: the accepted runs that have not been started, by when they may and when they must."""

import heapq
from dataclasses import dataclass
from datetime import datetime

from fleetjobs.spool.attempts import RunDirectory, RunKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One accepted run."""

    run: RunDirectory
    due_at: datetime
    start_before: datetime | None


class WaitingRuns:
    """All of them, found by time without looking through them."""

    def __init__(self) -> None:
        self._known: dict[RunKey, Waiting] = {}
        self._by_start: list[tuple[datetime, RunKey]] = []
        self._by_end: list[tuple[datetime, RunKey]] = []

    def __len__(self) -> int:
        return len(self._known)

    def add(self, waiting: Waiting) -> None:
        """Take a run in, or change the times of one that is known."""
        key = waiting.run.key
        self._known[key] = waiting
        heapq.heappush(self._by_start, (waiting.due_at, key))
        if waiting.start_before is not None:
            heapq.heappush(self._by_end, (waiting.start_before, key))

    def take_due(self, now: datetime) -> Waiting | None:
        """The run that has been due for longest, if any is due; it waits no more."""
        due_at = self.next_due()
        if due_at is None or due_at > now:
            return None
        return self._known.pop(heapq.heappop(self._by_start)[1])

    def take_expired(self, now: datetime) -> Waiting | None:
        """A run that may not be started any more, if there is one; it waits no more."""
        end = self.next_end()
        if end is None or end >= now:
            return None
        return self._known.pop(heapq.heappop(self._by_end)[1])

    def next_due(self) -> datetime | None:
        """When the next run may start."""
        while self._by_start:
            at, key = self._by_start[0]
            known = self._known.get(key)
            if known is not None and known.due_at == at:
                return at
            heapq.heappop(self._by_start)  # taken out by its end, or moved
        return None

    def next_end(self) -> datetime | None:
        """When the next run may not be started any more."""
        while self._by_end:
            at, key = self._by_end[0]
            known = self._known.get(key)
            if known is not None and known.start_before == at:
                return at
            heapq.heappop(self._by_end)
        return None
