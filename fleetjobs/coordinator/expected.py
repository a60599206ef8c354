"""Expected: runs handed over a moment ago, whose ends may come at once.

Short runs end before it could be noted that they were handed over. What ends notes that too, so
the note is put off for a moment and left out for those that have ended by then; and a batch of
replies waits a little for those that are sure to come with it.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from threading import Lock

from fleetjobs.messages import Reply, Stage
from fleetjobs.store.handovers import Handover, HandoverName

_Key = tuple[str, str, int]  # job, node, attempt


class Expected:
    """The dispatcher adds and takes back, the collector takes out; from any thread."""

    def __init__(self) -> None:
        self._runs: dict[_Key, tuple[Handover, datetime]] = {}
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._runs)

    def add(self, handovers: Iterable[Handover], now: datetime) -> None:
        """Expect their ends from now on."""
        with self._lock:
            self._runs.update(
                {(item.job, item.node, item.attempt): (item, now) for item in handovers}
            )

    def drop(self, handovers: Iterable[Handover]) -> None:
        """Expect nothing of those: they were not handed over."""
        with self._lock:
            for item in handovers:
                self._runs.pop((item.job, item.node, item.attempt), None)

    def end(self, replies: Iterable[Reply]) -> None:
        """Expect those no more whose end is in the database."""
        with self._lock:
            for reply in replies:
                if reply.stage is Stage.FINISHED:
                    self._runs.pop((reply.job, reply.node, reply.attempt), None)

    def names(self) -> set[HandoverName]:
        """What was handed over, and is due still as far as the database knows."""
        with self._lock:
            return {item.name for item, _ in self._runs.values()}

    def take(self, since: datetime | None = None) -> Sequence[Handover]:
        """Those whose end has not come since then; it is expected no more. None: all of them."""
        with self._lock:
            old = [key for key, (_, at) in self._runs.items() if since is None or at <= since]
            return [self._runs.pop(key)[0] for key in old]
