"""Wires: the connections between programs and their servers, to be held, slowed, broken and cut.

Each program has one of its own to each server it talks to. TCP hides loss and doubling from those
who talk: what they see of a bad network is silence, delay, and connections that end.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

from tests.processes import LOOPBACK, free_port

CHUNK = 65536


class Way(StrEnum):
    """The direction in which bytes go."""

    TO = "to"  # the server
    FROM = "from"  # it


BOTH = frozenset(Way)


@dataclass(slots=True)
class Wire:
    """From a port of its own to a server's. All that it does, it does in the loop's thread."""

    loop: asyncio.AbstractEventLoop
    server: int  # port
    port: int = field(default_factory=free_port)
    delay_s: float = 0.0
    loss: float = 0.0  # share of chunks at which a connection ends
    fatal: bytes = b""  # what is said to the server, and never answered; then the connection ends
    held: frozenset[Way] = frozenset()
    is_cut: bool = False
    answers_lost: int = 0
    _dice: Random = field(default_factory=lambda: Random(1))  # noqa: S311  no secret, a die
    _kept: list[tuple[Way, asyncio.StreamWriter, bytes]] = field(default_factory=list)
    _ends: set[asyncio.StreamWriter] = field(default_factory=set)
    _listening: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen."""
        self._listening = await asyncio.start_server(self._join, LOOPBACK, self.port)

    def close(self) -> None:
        """Hear nobody any more; in the loop's thread."""
        if self._listening is not None:
            self._listening.close()
        self._break()

    def hold(self, *ways: Way) -> None:
        """Let nothing pass, both ways if none is named; nobody is told."""
        self._do(lambda: setattr(self, "held", frozenset(ways) or BOTH))

    def cut(self) -> None:
        """End all connections, and each new one at once."""

        def cut() -> None:
            self.is_cut = True
            self._break()

        self._do(cut)

    def slow(self, delay_s: float = 0.0, loss: float = 0.0) -> None:
        """Take so many seconds each way, and break at so many chunks."""
        self.delay_s, self.loss = delay_s, loss

    def lose_answer(self, to: bytes) -> None:
        """The next time these bytes pass, end the connection before the server answers them."""
        self._do(lambda: setattr(self, "fatal", to))

    def heal(self) -> None:
        """Be a good wire again; what was held arrives."""

        def heal() -> None:
            self.held, self.is_cut, self.delay_s, self.loss = frozenset(), False, 0.0, 0.0
            self.fatal = b""
            kept, self._kept = self._kept, []
            for each in kept:
                self._pass_on(*each)

        self._do(heal)

    def _do(self, what: Callable[[], None]) -> None:
        done = threading.Event()
        self.loop.call_soon_threadsafe(lambda: (what(), done.set()))
        done.wait(10)

    def _break(self) -> None:
        for end in self._ends:
            end.transport.abort()
        self._ends.clear()
        self._kept.clear()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self.is_cut:
                raise ConnectionRefusedError
            far_reader, far_writer = await asyncio.open_connection(LOOPBACK, self.server)
        except OSError:
            writer.transport.abort()
            return
        self._ends |= {writer, far_writer}
        await asyncio.gather(
            self._carry(Way.TO, reader, far_writer), self._carry(Way.FROM, far_reader, writer)
        )
        self._ends -= {writer, far_writer}

    async def _carry(
        self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        due, chunk = 0.0, b"-"
        while chunk:
            chunk = b""
            with suppress(OSError):
                chunk = await reader.read(CHUNK)
            if way is Way.TO and self.fatal and self.fatal in chunk:
                self.fatal = b""
                self.answers_lost += 1
                writer.write(chunk)
                self.loop.call_later(0.2, self._break)  # once the server has done it
                self.held = frozenset({Way.FROM})
                self.loop.call_later(0.3, lambda: setattr(self, "held", frozenset()))
                continue
            if chunk and self.loss and self._dice.random() < self.loss:
                self._break()
            now = self.loop.time()
            due = max(due, now + self.delay_s)  # in order, even if the delay has become less
            if due > now:
                self.loop.call_at(due, self._pass_on, way, writer, chunk)
                due += 1e-6
            else:
                self._pass_on(way, writer, chunk)

    def _pass_on(self, way: Way, writer: asyncio.StreamWriter, chunk: bytes) -> None:
        if way in self.held:
            self._kept.append((way, writer, chunk))
        elif chunk:
            writer.write(chunk)
        else:
            writer.close()


class Wires:
    """All wires of a fleet, by the names of the two that each connects."""

    def __init__(self) -> None:
        """None yet."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="wires", daemon=True)
        self._wires: dict[tuple[str, str], Wire] = {}
        self._thread.start()

    def lay(self, part: str, server: str, port: int) -> Wire:
        """A wire from a program to a server."""
        wire = self._wires[part, server] = Wire(self._loop, port)
        asyncio.run_coroutine_threadsafe(wire.open(), self._loop).result(10)
        return wire

    def of(self, part: str, server: str = "broker") -> Wire:
        """The one between those two."""
        return self._wires[part, server]

    def all(self) -> list[Wire]:
        """Every one, in the order they were laid."""
        return [*self._wires.values()]

    def heal(self) -> None:
        """Every one."""
        for wire in self.all():
            wire.heal()

    def close(self) -> None:
        """End them."""

        def end() -> None:
            for wire in self.all():
                wire.close()
            self._loop.call_later(0.1, self._loop.stop)

        self._loop.call_soon_threadsafe(end)
        self._thread.join(10)
        self._loop.close()
