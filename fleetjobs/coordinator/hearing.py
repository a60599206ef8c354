"""Hearing: since when the coordinator would have heard of a node that said something."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from time import monotonic

logger = logging.getLogger(__name__)

JUMP = timedelta(seconds=10)  #: a clock that is so far from time itself was set


class Hearing:
    """Begins when messages come through, and anew when they do again, or the clock was set.

    Nobody was heard in an hour that the clock skipped, and no node may be called lost for that.
    """

    def __init__(
        self, clock: Callable[[], datetime], ticks: Callable[[], float] = monotonic
    ) -> None:
        """`ticks` are seconds that nobody sets."""
        self._clock = clock
        self._ticks = ticks
        self._began: tuple[datetime, float] | None = None

    def begin(self) -> None:
        """Messages come through."""
        if self._began is None:
            self._began = self._clock(), self._ticks()

    def end(self) -> None:
        """They do not."""
        self._began = None

    @property
    def since(self) -> datetime | None:
        """Since when they do; None while they do not."""
        began = self._began
        if began is None:
            return None
        at, tick = began
        if abs(self._clock() - at - timedelta(seconds=self._ticks() - tick)) > JUMP:
            logger.warning("the clock was set: silent nodes are given their time anew")
            at, _ = self._began = self._clock(), self._ticks()
        return at
