"""Processes that tests start: born on a free port, ended by whatever ends the tests."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Self, TypeVar

import psutil

T = TypeVar("T")

LOOPBACK = "127.0.0.1"
BOOT_S = 90.0  #: a loaded machine of two cores starts RabbitMQ in well under this
STOP_S = 15.0
#: how much longer than at a desk to wait where CI is set: two cores may do much else
PATIENCE = 3 if os.environ.get("CI") else 1


class ServerMissing(Exception):
    """The program of this server is not installed."""


class ServerFailed(Exception):
    """The server ended, or did not answer in time; carries the end of its log."""


def wait_for(condition: Callable[[], T], within: float = 20.0, every: float = 0.02) -> T:
    """What the condition gives once it is true; AssertionError after `within` s * PATIENCE."""
    deadline = time.monotonic() + within * PATIENCE
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not so within {within:g} s (last seen: {found!r})")
        time.sleep(every)
    return found


def free_port() -> int:
    """A loopback TCP port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


class ServerProcess(ABC):
    """One server process; `kill()` and `start()` keep its port, its address and its data."""

    def __init__(self, directory: Path) -> None:
        """Lay out the files; nothing runs before `start()` or `with`."""
        self.directory = directory
        self.port = free_port()
        self.log = directory / "log"
        self._process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True, exist_ok=True)

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients connect."""

    @abstractmethod
    def _command(self) -> list[str]:
        """The argv that runs the server in the foreground."""

    @abstractmethod
    def _answers(self) -> bool:
        """Whether it serves; may raise OSError while it does not."""

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(self.directory)}

    def start(self) -> None:
        """Run it, and return once it answers. Raises ServerFailed."""
        # Whoever started it may be killed; setpriv sees to it that the server goes with it.
        argv = ["setpriv", "--pdeathsig", "KILL", *self._command()]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment(),
                start_new_session=True,
            )
        try:
            wait_for(self._ready, within=BOOT_S)
        except AssertionError:
            self.kill()
            raise ServerFailed(f"{self.log} says: {self._last_words()}") from None

    def _ready(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise ServerFailed(f"{self.log} says: {self._last_words()}")
        with contextlib.suppress(OSError):
            return self._answers()
        return False

    def _last_words(self) -> str:
        return self.log.read_text(errors="replace")[-2000:]

    @property
    def is_alive(self) -> bool:
        """Whether its process runs, be it paused."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """End it politely, and not so politely if that takes long."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to the server and all its processes; its data stay as they are."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing answers, until `resume()`."""
        for process in self._family():
            process.suspend()

    def resume(self) -> None:
        """SIGCONT after `pause()`."""
        for process in self._family():
            process.resume()

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        family = self._family()
        for process in family if how is signal.SIGKILL else family[:1]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(how)
        try:
            wait_for(lambda: not any(map(_lives, family)), within=STOP_S)
        except AssertionError:
            for process in filter(_lives, family):
                process.kill()
        self._process.wait()
        self._process = None

    def _family(self) -> list[psutil.Process]:
        """The server first, then its descendants; PostgreSQL's leave the process group."""
        if self._process is None:
            return []
        try:
            first = psutil.Process(self._process.pid)
            return [first, *first.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()  # its data go with the test; nobody is left to be polite for


def _lives(process: psutil.Process) -> bool:
    """Whether it runs; an orphan may stay a zombie for long where process 1 is no real init."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
