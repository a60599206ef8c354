"""Hosting: the worker's end of the runner host."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from fleetjobs.node.host import ADOPT, ENDED, FORKED, GENERATION, START, UNABLE
from fleetjobs.node.workplace import Workplace
from fleetjobs.spool.attempts import RunKey

END_S = 5.0  #: a host that nobody speaks to any more has ended by then
_PASSED_ON = ("PATH", "HOME", "LANG", "PYTHONPATH", "FLEETJOBS_CRASH_POINT", "FLEETJOBS_CRASH_ONCE")


class Word(StrEnum):
    """What a host tells of a run."""

    FORKED = FORKED  # it has a runner
    ENDED = ENDED  # its runner has ended
    UNABLE = UNABLE  # no process could be made; try again later


class Told(NamedTuple):
    """One thing that a host told."""

    word: Word
    key: RunKey


class RunnerHost:
    """A host and the connection to it; made anew by `start` when it has died."""

    def __init__(self, workplace: Workplace, connection: socket.socket | None = None) -> None:
        """Take the connection to a host that runs already; without one, call `start`."""
        self._workplace = workplace
        self._connection = connection
        self._process: subprocess.Popen[bytes] | None = None
        self._unread = b""

    @property
    def is_connected(self) -> bool:
        """Whether there is a host, as far as we know."""
        return self._connection is not None

    def start(self) -> None:
        """Start a host. It has a small environment: the worker's may hold passwords."""
        self.stop()
        ours, theirs = socket.socketpair()
        with theirs:
            command = ["-P", "-m", "fleetjobs.programs.runner_host", str(theirs.fileno())]
            self._process = subprocess.Popen(
                [sys.executable, *command, self._workplace.to_text()],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
                start_new_session=True,  # ctrl-C at a terminal is for the worker alone
            )
        self._connection = ours

    def stop(self) -> None:
        """Close the connection and let the host end, or end it; its runners go on."""
        self._disconnect()
        if self._process is not None:
            try:
                self._process.wait(END_S)
            except subprocess.TimeoutExpired:  # it hangs, or was stopped: nobody must wait for that
                self._process.kill()
                self._process.wait()
            self._process = None

    def run(self, key: RunKey, generation: int = 0) -> bool:
        """Have a runner start the attempt as of that generation; False if the host is gone."""
        return self._say({START: str(key), GENERATION: generation})

    def adopt(self, key: RunKey) -> bool:
        """Have a runner take over from one that was killed; False if the host is gone."""
        return self._say({ADOPT: str(key)})

    def fileno(self) -> int:
        """Readable when the host has told something, or has died; -1 without a host."""
        return self._connection.fileno() if self._connection else -1

    def take(self) -> list[Told]:
        """What the host told since the last call; never waits."""
        return list(self._take())

    def _take(self) -> Iterator[Told]:
        while self._connection is not None:
            try:
                received = self._connection.recv(65536, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except ConnectionError:
                received = b""
            if not received:
                self._disconnect()
            *lines, self._unread = (self._unread + received).split(b"\n")
            for line in lines:
                word, name = next(iter(json.loads(line).items()))
                yield Told(Word(word), RunKey.read(name))

    def _say(self, message: dict[str, object]) -> bool:
        if self._connection is None:
            return False
        try:
            self._connection.sendall(json.dumps(message).encode() + b"\n")
        except ConnectionError:
            return False  # what it told before is still to be taken; the end is seen there
        return True

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            self._unread = b""
