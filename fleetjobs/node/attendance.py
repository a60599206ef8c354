"""Attendance: stay with a program until it has ended; read what it writes, keep its time."""

import os
import selectors
import signal
import time
from dataclasses import dataclass
from typing import Protocol

from fleetjobs.node.process import group_is_alive, is_alive, marked, signal_all
from fleetjobs.node.streams import Stream, Streams
from fleetjobs.spool.attempts import Holder, Program

_LOOK_S = 0.1  # how often a process is looked at whose end nobody tells us


class Attended(Protocol):
    """A process whose end is awaited."""

    leader: int  # pid, and process group
    told: bool  # whether a signal tells us of its end

    def ended(self) -> bool:
        """Whether it has ended by now."""
        ...

    @property
    def exit_code(self) -> int | None:
        """Negative: the signal that ended it; None: cannot be known."""
        ...


class Child:
    """A process of our own: SIGCHLD tells of its end."""

    told = True

    def __init__(self, pid: int) -> None:
        self.leader = pid
        self.exit_code: int | None = None

    def ended(self) -> bool:
        """Whether it has ended by now; reaps it."""
        if self.exit_code is None:
            pid, status = os.waitpid(self.leader, os.WNOHANG)
            if pid:
                self.exit_code = os.waitstatus_to_exitcode(status)
        return self.exit_code is not None


class Orphan:
    """A process whose runner was killed: it can only be looked at."""

    told = False
    exit_code: int | None = None

    def __init__(self, holder: Holder) -> None:
        self.leader = holder.pid
        self._holder = holder

    def ended(self) -> bool:
        """Whether it has ended by now."""
        return not is_alive(self._holder)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attendance:
    """Waits for one program."""

    watched: Attended
    program: Program
    streams: Streams
    wakeup: int  # readable after SIGCHLD
    mark: str  # found in the environment of everything the program starts
    grace_s: float

    def wait(self) -> bool:
        """Until the program has ended; whether it was over its time and had to be ended."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.wakeup, selectors.EVENT_READ)
            self.streams.watch(selector)
            if self._until(selector, self.program.deadline):
                return False
            self._signal(signal.SIGTERM)
            self._until(selector, time.monotonic() + self.grace_s, whole_group=True)
            self._kill(selector, time.monotonic() + self.grace_s)
        return True

    def _kill(self, selector: selectors.BaseSelector, deadline: float) -> None:
        """Until nobody is left: who was just being forked is missed by a single look.

        The kernel may need a while, and never ends a process that hangs in it; so not for ever.
        """
        while time.monotonic() < deadline:
            self._signal(signal.SIGKILL)
            pause = min(deadline, time.monotonic() + _LOOK_S)
            if self._until(selector, pause, whole_group=True) and not marked(self.mark):
                return

    def _signal(self, number: int) -> None:
        signal_all(self.watched.leader, self.mark, number)

    def _until(
        self, selector: selectors.BaseSelector, deadline: float, *, whole_group: bool = False
    ) -> bool:
        """Read until the program, or its whole group, has ended; False if time was over first."""
        while not (
            self.watched.ended() and not (whole_group and group_is_alive(self.watched.leader))
        ):
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            told = self.watched.told and not whole_group
            for key, _ in selector.select(left if told else min(left, _LOOK_S)):
                if not isinstance(key.data, Stream):
                    os.read(self.wakeup, 4096)
                elif not key.data.read():
                    selector.unregister(key.fileobj)
        return True
