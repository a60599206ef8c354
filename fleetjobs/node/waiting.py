"""Waiting: the accepted runs that have not been started, by when they may and when they must."""

import heapq
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from fleetjobs.spool.attempts import RunDirectory, RunKey

STALE_MOST = 1000  #: entries kept of runs that wait no more, beside as many as wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One accepted run."""

    run: RunDirectory
    since: datetime
    not_before: datetime | None  # None: at once, whatever the clock says
    start_before: datetime | None
    generation: int = 0
    lane: str = ""  # those of one lane may be held up while others start


class WaitingRuns:
    """All of them, found by time without looking through them.

    The clock may be set back: it holds up only those that asked for a time.
    """

    def __init__(self) -> None:
        self._known: dict[RunKey, Waiting] = {}
        self._ready: dict[str, list[tuple[datetime, RunKey]]] = {}  # by lane: due; since when
        self._timed: list[tuple[datetime, RunKey]] = []  # not yet due
        self._by_end: list[tuple[datetime, RunKey]] = []

    def __len__(self) -> int:
        return len(self._known)

    def add(self, waiting: Waiting) -> None:
        """Take in a run that is not known yet."""
        key = waiting.run.key
        self._known[key] = waiting
        if waiting.not_before is None:
            self._make_ready(waiting.since, key)
        else:
            self._push(self._timed, (waiting.not_before, key))
        if waiting.start_before is not None:
            self._push(self._by_end, (waiting.start_before, key))

    def _push(self, heap: list[tuple[datetime, RunKey]], entry: tuple[datetime, RunKey]) -> None:
        """Put it there; who waits no more goes: a day's runs would stay till its end."""
        heapq.heappush(heap, entry)
        if len(heap) > 2 * len(self._known) + STALE_MOST:
            heap[:] = {each for each in heap if self._is_current(*each)}
            heapq.heapify(heap)

    def find(self, key: RunKey) -> Waiting | None:
        """That run, if it waits."""
        return self._known.get(key)

    def take(self, key: RunKey) -> Waiting | None:
        """That run, if it waits; it waits no more."""
        return self._known.pop(key, None)

    def take_due(self, now: datetime, full: Collection[str] = ()) -> Waiting | None:
        """The run that has been due for longest, but in the full lanes; it waits no more."""
        self._ripen(now)
        heads = {lane: self._head(lane) for lane in self._ready if lane not in full}
        found = min(((head, lane) for lane, head in heads.items() if head), default=None)
        if found is None:
            return None
        heapq.heappop(self._ready[found[1]])
        return self._known.pop(found[0][1])

    def take_expired(self, now: datetime) -> Waiting | None:
        """A run that may not be started any more, if there is one; it waits no more."""
        end = self._first(self._by_end)
        if end is None or end[0] >= now:
            return None
        return self._known.pop(end[1])

    def next_due(self, now: datetime, full: Collection[str] = ()) -> datetime | None:
        """When the next run may start: now, later, or None if none waits."""
        self._ripen(now)
        ready = any(self._head(lane) for lane in self._ready if lane not in full)
        timed = self._first(self._timed)
        if ready:
            return now
        return timed[0] if timed else None

    def next_end(self) -> datetime | None:
        """When the next run may not be started any more."""
        end = self._first(self._by_end)
        return end[0] if end else None

    def _ripen(self, now: datetime) -> None:
        """Let those be ready whose time has come; forget lanes in which nobody waits."""
        while (timed := self._first(self._timed)) is not None and timed[0] <= now:
            self._make_ready(*heapq.heappop(self._timed))
        for lane in [lane for lane in self._ready if self._head(lane) is None]:
            del self._ready[lane]

    def _make_ready(self, since: datetime, key: RunKey) -> None:
        heapq.heappush(self._ready.setdefault(self._known[key].lane, []), (since, key))

    def _head(self, lane: str) -> tuple[datetime, RunKey] | None:
        """The run that is ready for longest in a lane; some have gone to another one."""
        heap = self._ready[lane]
        while (first := self._first(heap)) and self._known[first[1]].lane != lane:
            heapq.heappop(heap)
        return first

    def _first(self, heap: list[tuple[datetime, RunKey]]) -> tuple[datetime, RunKey] | None:
        """The earliest entry, once those that wait no more are out of the way."""
        while heap and not self._is_current(*heap[0]):
            heapq.heappop(heap)
        return heap[0] if heap else None

    def _is_current(self, at: datetime, key: RunKey) -> bool:
        """Whether the entry is of the run as it waits now: it may have come back meanwhile."""
        known = self._known.get(key)
        return known is not None and at in {known.since, known.not_before, known.start_before}
