"""Loops: call a step for ever, in a thread, until told to stop."""

import logging
import threading
from collections.abc import Callable

from fleetjobs.errors import SpoolFull, Unavailable

logger = logging.getLogger(__name__)

PAUSE_MAX_S = 5.0  #: the longest pause while something we depend on is away


class Loops:
    """Threads that each repeat one step; stopped together."""

    def __init__(self, on_failure: Callable[[str, Exception], None] | None = None) -> None:
        """`on_failure` hears of steps that failed for no reason we know, beside the log."""
        self._on_failure = on_failure
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, name: str, step: Callable[[], object], *, every: float | None = None) -> None:
        """Repeat the step; `every` seconds, or at once again if the step does its own waiting."""
        thread = threading.Thread(target=self._repeat, args=(name, step, every), name=name)
        thread.daemon = True  # a step that hangs in a library must not keep the process alive
        self._threads.append(thread)
        thread.start()

    def wait(self) -> None:
        """Until someone calls stop."""
        self._stop.wait()

    def stop(self, within: float = 5.0) -> None:
        """Let every loop finish its step; waits at most `within` seconds for each."""
        self._stop.set()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(within)

    def _repeat(self, name: str, step: Callable[[], object], every: float | None) -> None:
        pause = 0.0
        while not self._stop.wait(pause or every or 0.0):
            try:
                step()
            except (Unavailable, SpoolFull) as away:
                if not pause:
                    logger.warning("%s waits: %s", name, away)
                pause = min(PAUSE_MAX_S, pause * 2 or 0.1)
            except Exception as error:  # the rim of a loop: one bad pass must not end a service
                logger.exception("%s failed and goes on", name)
                self._tell(name, error)
                pause = min(PAUSE_MAX_S, pause * 2 or 0.1)
            else:
                pause = 0.0

    def _tell(self, name: str, error: Exception) -> None:
        try:
            if self._on_failure is not None:
                self._on_failure(name, error)
        except Exception:  # nor must a bad way to tell of it
            logger.exception("nobody could be told that %s failed", name)
