"""Expected: runs handed over a moment ago, whose ends may come at once.

Short runs end before it could be noted that they were handed over. What ends notes that too, so
the note is put off for a moment and left out for those that have ended by then, or whose ends are
being written; and a batch of replies waits a little for those that are sure to come with it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from threading import Lock
from time import monotonic

from fleetjobs.messages import Reply, Stage
from fleetjobs.store.handovers import Handover, HandoverName

_Key = tuple[str, str, int]  # job, node, attempt


class Expected:
    """The dispatcher adds and takes back, the collector takes out; from any thread.

    The clock gives seconds and only ever goes forward: while a clock that was set back catches
    up, what was handed over would be neither noted nor sent again.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._runs: dict[_Key, tuple[Handover, float]] = {}
        self._ending: set[_Key] = set()  # their ends are being written
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._runs)

    def add(self, handovers: Iterable[Handover]) -> None:
        """Expect their ends from now on."""
        now = self._clock()
        with self._lock:
            self._runs.update(
                {(item.job, item.node, item.attempt): (item, now) for item in handovers}
            )

    def drop(self, handovers: Iterable[Handover]) -> None:
        """Expect nothing of those: they were not handed over."""
        with self._lock:
            for item in handovers:
                self._runs.pop((item.job, item.node, item.attempt), None)

    @contextmanager
    def ending(self, replies: Iterable[Reply]) -> Iterator[None]:
        """While their ends are written; once they are in the database, expect them no more."""
        ends = {
            (reply.job, reply.node, reply.attempt)
            for reply in replies
            if reply.stage is Stage.FINISHED
        }
        with self._lock:
            self._ending |= ends
        try:
            yield
            with self._lock:
                for key in ends:
                    self._runs.pop(key, None)
        finally:
            with self._lock:
                self._ending -= ends

    @property
    def is_moving(self) -> bool:
        """Whether ends are being written at this moment."""
        return bool(self._ending)

    def names(self) -> set[HandoverName]:
        """What was handed over, and is due still as far as the database knows."""
        with self._lock:
            return {item.name for item, _ in self._runs.values()}

    def take(self, patience: timedelta | None = None) -> Sequence[Handover]:
        """Those whose end has not come for so long; it is expected no more. None: all of them.

        What ends at this moment is among all of them only.
        """
        since = None if patience is None else self._clock() - patience.total_seconds()
        with self._lock:
            old = [
                key
                for key, (_, at) in self._runs.items()
                if since is None or (at <= since and key not in self._ending)
            ]
            return [self._runs.pop(key)[0] for key in old]
