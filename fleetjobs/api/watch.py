"""Watch: tells whoever follows a job that something about it changed.

One thread listens for the bells of all jobs and wakes the coroutines that follow them. A wake-up
is a hint: who is woken looks into the database, and looks now and then without being woken.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Thread
from typing import Protocol

from fleetjobs.errors import DatabaseAway

logger = logging.getLogger(__name__)

LISTEN_S = 0.25  #: how long the thread waits at a time; it notices an end only in between
POLL_S = 1.0  #: followers look again after that long while the bells are away
LOOK_S = 5.0  #: and after that long while they work

EVERYTHING = ""  #: the key of those who follow all jobs, and the bell that means all of them


class Listener(Protocol):
    """Hears bells."""

    def wait(self, within: float) -> Sequence[str] | None:
        """The payloads that rang within so many seconds; None if none did."""

    def close(self) -> None:
        """Stop hearing."""


class Watch:
    """Wakes those who follow jobs. `start` and `close` it in the event loop's thread."""

    def __init__(self, listen: Callable[[], Listener]) -> None:
        """Hear by what `listen` opens; it may raise DatabaseAway and is tried again."""
        self._listen = listen
        self._followers: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._ending = Event()
        self._hears = False
        self._thread: Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begin to listen; again, after a close."""
        self._loop = asyncio.get_running_loop()
        self._ending.clear()
        self._thread = Thread(target=self._hear, name="watch", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Let every follower go; from any thread, and from a signal's handler."""
        self._ending.set()
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake, [EVERYTHING])

    def close(self) -> None:
        """End, and wait for the thread."""
        self.end()
        if self._thread is not None:
            self._thread.join(LISTEN_S * 4)

    @property
    def is_ending(self) -> bool:
        """Whether followers should leave."""
        return self._ending.is_set()

    @contextmanager
    def follow(self, *names: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever one of these jobs or questions may have changed.

        Without a name, whenever anything may.
        """
        changed = asyncio.Event()
        followed = set(names or (EVERYTHING,))
        for name in followed:
            self._followers[name].add(changed)
        try:
            yield changed
        finally:
            for name in followed:
                self._followers[name].discard(changed)
                if not self._followers[name]:
                    del self._followers[name]

    async def wait(self, changed: asyncio.Event, *, within: float = LOOK_S) -> None:
        """Return when the event is set, when it is time to look again, or at the end."""
        patience = min(within, LOOK_S if self._hears else POLL_S)
        try:
            async with asyncio.timeout(patience):
                await changed.wait()
        except TimeoutError:
            pass
        changed.clear()

    def _hear(self) -> None:
        while not self.is_ending:
            try:
                listener = self._listen()
            except DatabaseAway as away:
                logger.warning("bells not heard, looking every %s s instead: %s", POLL_S, away)
                self._ending.wait(POLL_S)
                continue
            try:
                self._pass_on(listener)
            except DatabaseAway as away:
                logger.warning("bells fell silent: %s", away)
            finally:
                self._hears = False
                listener.close()

    def _pass_on(self, listener: Listener) -> None:
        self._hears = True
        self._tell([EVERYTHING])  # something may have rung while nobody listened
        while not self.is_ending:
            payloads = listener.wait(LISTEN_S)
            if payloads:
                self._tell([job for payload in payloads for job in payload.split(",")])

    def _tell(self, jobs: list[str]) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake, jobs)

    def _wake(self, jobs: list[str]) -> None:
        """Runs in the loop, as all that touches the followers."""
        if EVERYTHING in jobs:
            groups = list(self._followers.values())
        else:
            groups = [self._followers[job] for job in {*jobs, EVERYTHING} & self._followers.keys()]
        for group in groups:
            for changed in group:
                changed.set()
