"""Backlog: what lay in the node's queue when its worker came back is read before any of it begins.

Of a run that was called off or changed while the worker was away, the order lies in the queue
behind the delivery: begun as soon as it is taken, the run would be over before the order is read.
"""

import time
from collections.abc import Callable

PATIENCE_S = 5.0  #: a queue that was emptied by others holds up nobody for longer


class Backlog:
    """Counts the messages down; one thread counts, any may look. spec I9, F16."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: seconds that only go forward."""
        self._clock = clock
        self._left = 0
        self._until = 0.0

    def found(self, count: int) -> None:
        """So many messages lie in the queue, and none has been read."""
        self._until = self._clock() + PATIENCE_S
        self._left = count

    def read(self) -> bool:
        """One more was read, and is on disk or refused; whether it was the last of them."""
        if not self._left:
            return False
        self._left -= 1
        return not self._left

    def wait_s(self) -> float:
        """How many seconds to wait for it at most; 0: runs may begin."""
        return max(0.0, self._until - self._clock()) if self._left else 0.0
