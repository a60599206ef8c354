"""Attendance: stay with a program until it has ended; read what it writes, keep its time."""

import os
import selectors
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from fleetjobs.crashpoints import crash_point
from fleetjobs.node.process import is_alive, signal_tree, tree
from fleetjobs.node.streams import Stream, Streams
from fleetjobs.spool.attempts import Holder, Program

_LOOK_S = 0.1  # how often a process is looked at whose end nobody tells us


class Attended(Protocol):
    """A process whose end is awaited."""

    group: int | None  # its process group; None if that may be another's by now
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
    group: int | None

    def __init__(self, pid: int) -> None:
        self._pid = self.group = pid
        self.exit_code: int | None = None

    def ended(self) -> bool:
        """Whether it has ended by now; reaps it."""
        if self.exit_code is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self.exit_code = os.waitstatus_to_exitcode(status)
        return self.exit_code is not None


class Orphan:
    """A process whose runner was killed: it can only be looked at."""

    told = False
    exit_code: int | None = None

    def __init__(self, holder: Holder) -> None:
        self.group = holder.pid if is_alive(holder) else None
        self._holder = holder

    def ended(self) -> bool:
        """Whether it has ended by now."""
        return not is_alive(self._holder)


class Cut(StrEnum):
    """Why a program did not end by itself."""

    TIMEOUT = "timeout"  # it was over its time
    STOP = "stop"  # it was told to


@dataclass(frozen=True, slots=True, kw_only=True)
class Attendance:
    """Waits for one program."""

    watched: Attended
    program: Program
    streams: Streams
    wakeup: int  # readable after SIGCHLD, or when there may be an order
    mark: str  # found in the environment of everything the program starts
    grace_s: float
    must_stop: Callable[[], bool]  # whether an order says so; asked when `wakeup` says something

    def wait(self) -> Cut | None:
        """Until the program has ended; why it had to be ended, with all that it started."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.wakeup, selectors.EVENT_READ)
            self.streams.watch(selector)
            cut = self._until_ended(selector)
            if cut is not None:
                crash_point("before_stop")
                self._end(selector)
        return cut

    def end_rest(self) -> None:
        """End what the program has left behind; it is gone itself."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.wakeup, selectors.EVENT_READ)
            self._end(selector)

    def _end(self, selector: selectors.BaseSelector) -> None:
        if self._signal(signal.SIGTERM) or not self.watched.ended():
            self._until_gone(selector)
            self._until_gone(selector, signal.SIGKILL)

    def _until_ended(self, selector: selectors.BaseSelector) -> Cut | None:
        """Read until the program has ended, or has to."""
        asked = self.must_stop()
        while not self.watched.ended():
            left = self.program.deadline - time.monotonic()
            if asked:
                return Cut.STOP
            if left <= 0:
                return Cut.TIMEOUT
            woken = self._read(selector, left if self.watched.told else min(left, _LOOK_S))
            asked = woken and self.must_stop()
        return None

    def _until_gone(self, selector: selectors.BaseSelector, number: int | None = None) -> None:
        """Read until nothing of the program is left, or its grace is over; signal it meanwhile."""
        deadline = time.monotonic() + self.grace_s
        while (left := deadline - time.monotonic()) > 0:
            ended = self.watched.ended()
            there = self._signal(number) if number else self._is_there()
            if ended and not there:
                return
            self._read(selector, min(left, _LOOK_S))

    def _read(self, selector: selectors.BaseSelector, within: float) -> bool:
        """Keep what is written; whether the wake-up came."""
        woken = False
        for key, _ in selector.select(within):
            if not isinstance(key.data, Stream):
                os.read(self.wakeup, 4096)
                woken = True
            elif not key.data.read():
                selector.unregister(key.fileobj)
        return woken

    def _is_there(self) -> bool:
        return bool(tree(self.watched.group, self.mark))

    def _signal(self, number: int) -> bool:
        return signal_tree(self.watched.group, self.mark, number)
