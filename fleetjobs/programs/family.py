"""Family: processes that one program starts, watches, starts again and stops.

For `up` and the nursery, which have a single thread, so forking is safe. A child dies with its
parent, whatever ends that: the kernel sends it SIGTERM.
"""

import ctypes
import logging
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

logger = logging.getLogger(__name__)

PAUSE_S = 0.5  #: before a child that died is started again; doubles each time
PAUSE_MAX_S = 30.0
SETTLED_S = 60.0  #: a child that lived this long starts anew with the shortest pause
PR_SET_PDEATHSIG = 1


@dataclass(slots=True, kw_only=True)
class Child:
    """One process to keep alive."""

    name: str
    run: Callable[[], None]  # what the child does; never returns into the parent
    log: Path
    stage: int = 0  # stopped together with its stage, the highest first
    patience_s: float = 10.0  # a child that has not ended this long after SIGTERM is killed
    lasting: bool = True  # started again when it dies
    closing: Sequence[int] = ()  # descriptors that are not the child's affair
    pid: int = 0  # 0: not running
    started: float = 0.0  # monotonic seconds
    pause: float = PAUSE_S
    due: float = 0.0  # when to start it again; 0: not waiting
    deaths: int = 0  # how often it ended by itself


class Family:
    """Children, stopped stage by stage."""

    def __init__(self) -> None:
        """Have SIGCHLD wake `watch`."""
        self.children: list[Child] = []
        self._wake, wake = os.pipe()
        self._pipe = (self._wake, wake)
        for descriptor in self._pipe:
            os.set_blocking(descriptor, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)

    def add(self, child: Child) -> Child:
        """Start it, and keep it alive from now on."""
        self.children.append(child)
        self._start(child)
        return child

    def watch(self, within: float) -> None:
        """Wait at most so many seconds for something to happen, and see to it."""
        now = time.monotonic()
        dues = [child.due - now for child in self.children if child.due]
        select.select([self._wake], [], [], max(0.0, min([within, *dues])))
        self._drain()
        self.reap()
        for child in self.children:
            if child.due and child.due <= time.monotonic():
                self._start(child)

    def reap(self) -> None:
        """Note who died."""
        for child in self.children:
            if not child.pid or not os.waitpid(child.pid, os.WNOHANG)[0]:
                continue
            child.pid = 0
            if child.lasting:
                self._start_later(child)

    def _start_later(self, child: Child) -> None:
        now = time.monotonic()
        if now - child.started > SETTLED_S:
            child.pause = PAUSE_S
        child.deaths += 1
        child.due = now + child.pause
        logger.warning("%s ended; again in %.1f s; see %s", child.name, child.pause, child.log)
        child.pause = min(PAUSE_MAX_S, child.pause * 2)

    def stop(self, hurry: Callable[[], bool] = lambda: False) -> None:
        """End all, the highest stage first; what lingers, or all once `hurry()`, is killed."""
        for stage in sorted({child.stage for child in self.children}, reverse=True):
            members = [child for child in self.children if child.stage == stage]
            for child in members:
                child.due = 0.0
                if child.pid:
                    os.kill(child.pid, signal.SIGTERM)
            began = time.monotonic()
            for child in members:
                self._see_off(child, began + child.patience_s, hurry)

    def _see_off(self, child: Child, deadline: float, hurry: Callable[[], bool]) -> None:
        while child.pid and not os.waitpid(child.pid, os.WNOHANG)[0]:
            if hurry() or time.monotonic() > deadline:
                logger.warning("%s does not end by itself and is killed", child.name)
                os.kill(child.pid, signal.SIGKILL)
                os.waitpid(child.pid, 0)
                break
            select.select([self._wake], [], [], 0.1)
            self._drain()
        child.pid = 0

    def _drain(self) -> None:
        try:
            while os.read(self._wake, 512):
                pass
        except BlockingIOError:
            return

    def _start(self, child: Child) -> None:
        child.due = 0.0
        parent = os.getpid()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            self._become(child, parent)
        child.pid, child.started = pid, time.monotonic()

    def _become(self, child: Child, parent: int) -> NoReturn:
        """In the new process: shed what is the parent's, then do the child's work."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            os.setsid()  # ctrl-C at the terminal is for the parent, who ends us in order
            die_with(parent)
            for descriptor in (*self._pipe, *child.closing):
                os.close(descriptor)
            _redirect(child.log)
            child.run()
            status = 0
        except SystemExit as left:
            status = left.code if isinstance(left.code, int) else 1
        except BaseException:  # noqa: BLE001  the rim of a process: nothing may return to the parent's code
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)


class Stop:
    """Whether SIGTERM or SIGINT has come, and whether ctrl-C came twice."""

    def __init__(self) -> None:
        """Listen for both from now on."""
        self.count = 0
        self.interrupts = 0
        signal.signal(signal.SIGTERM, self._note)
        signal.signal(signal.SIGINT, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  their form
        self.count += 1
        self.interrupts += number == signal.SIGINT

    @property
    def asked(self) -> bool:
        """Time to end."""
        return self.count > 0

    @property
    def pressed(self) -> bool:
        """Time to end at once."""
        return self.interrupts > 1


def die_with(parent: int) -> None:
    """Have the kernel send this process SIGTERM when its parent is gone, prctl(2)."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it was quicker
        os._exit(0)


def _redirect(log: Path) -> None:
    """Standard input from nowhere, both outputs to the log."""
    nowhere = os.open(os.devnull, os.O_RDONLY)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(nowhere, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(nowhere)
    os.close(output)


def program(*argv: str) -> Callable[[], None]:
    """A child that becomes another program."""
    return lambda: os.execv(argv[0], argv)  # noqa: S606  by argv, as it should be


def module(name: str, *arguments: str) -> Callable[[], None]:
    """A child that becomes one of our programs."""
    return program(sys.executable, "-P", "-m", name, *arguments)
