"""Stream: the events of a job as the server sends them, resumed when the connection breaks.

Server-sent events, as the HTML Living Standard (9.2) defines them.
"""

import contextlib
import json
import socket
from collections.abc import Callable, Iterable, Iterator
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Any, NamedTuple

from fleetjobs.client.exchange import Answer, Connection
from fleetjobs.client.transport import Query, Transport
from fleetjobs.errors import Fault, ServerAway

QUIET_S = 45.0  #: the server sends a comment every 15 s; a longer silence is a dead connection
AGAIN_S = (0.2, 0.5, 1.0, 2.0, 5.0)  #: pauses between attempts to connect again; the last repeats


class StreamEvent(NamedTuple):
    """One event."""

    kind: str  # `end` is the last
    data: Any
    id: str | None = None


def read_events(lines: Iterable[bytes]) -> Iterator[StreamEvent]:
    """The events in the lines of a stream; comments and what is no JSON are passed over."""
    kind, id_ = "", None
    data: list[str] = []
    for raw in lines:
        line = raw.rstrip(b"\r\n").decode("utf-8", "replace")
        if not line:
            if data or kind:
                with contextlib.suppress(ValueError, RecursionError):
                    yield StreamEvent(kind or "message", json.loads("\n".join(data) or "null"), id_)
            kind, data = "", []
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            kind = value
        elif name == "data":
            data.append(value)
        elif name == "id":
            id_ = value


class Opened(NamedTuple):
    """A connection on which events come."""

    answer: Answer
    connection: Connection
    events: Iterator[StreamEvent]

    @classmethod
    def of(cls, answer: Answer, connection: Connection) -> "Opened":
        """Of which nothing has been read yet."""
        return cls(answer, connection, read_events(answer))

    @property
    def is_stream(self) -> bool:
        """Whether events come: a server may answer with a document instead."""
        return self.answer.media_type == "text/event-stream"

    def close(self) -> None:
        """Let go of it."""
        self.connection.close()


class Stream:
    """Follows one address; a thread reads, so that waiting for the next event has a limit."""

    def __init__(
        self, transport: Transport, *path: str, query: Query = (), opened: Opened | None = None
    ) -> None:
        """Connect, or go on with what is `opened` there. Raises Problem, or ServerAway."""
        self._connect: Callable[[str | None], tuple[Answer, Connection]] = lambda last: (
            transport.stream(
                *path, query=query, headers={} if last is None else {"Last-Event-ID": last}
            )
        )
        self._queue: SimpleQueue[StreamEvent | Fault] = SimpleQueue()
        self._ending = Event()
        self._last: str | None = None
        self.away: ServerAway | None = None  #: why nothing comes at the moment
        self._opened = opened or Opened.of(*self._connect(None))
        Thread(target=self._follow, name="stream", daemon=True).start()

    def next(self, within: float | None) -> StreamEvent | None:
        """The next event; None if none came within so many seconds. Raises Problem."""
        try:
            found = self._queue.get(timeout=None if within is None else max(within, 0))
        except Empty:
            return None
        if isinstance(found, Fault):
            raise found
        return found

    def close(self) -> None:
        """Let go of the connection and its thread."""
        self._ending.set()
        with contextlib.suppress(OSError):
            self._opened.connection.sock.shutdown(socket.SHUT_RDWR)

    def _follow(self) -> None:
        tries = 0
        while not self._ending.is_set():
            try:
                if self._read():
                    return
                tries = 0
                self.away = ServerAway("the server ended the stream")
            except (OSError, ValueError) as error:  # the latter: it was closed here meanwhile
                self.away = ServerAway(f"the connection broke: {error}")
            while not self._ending.wait(AGAIN_S[min(tries, len(AGAIN_S) - 1)]):
                tries += 1
                try:
                    self._opened = Opened.of(*self._connect(self._last))
                    break
                except ServerAway as away:
                    self.away = away
                except Fault as refusal:
                    self._queue.put(refusal)
                    return

    def _read(self) -> bool:
        """Pass events on; whether the last one came."""
        opened = self._opened
        opened.connection.sock.settimeout(QUIET_S)
        with contextlib.closing(opened):
            for event in opened.events:
                self.away = None
                if event.kind == "refused":
                    return False  # asked again, the server says why
                self._last = event.id or self._last
                self._queue.put(event)
                if event.kind == "end":
                    return True
        return False
