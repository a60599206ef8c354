"""Host: a small warm process that forks a runner for each run.

The worker says `{"start": "<run>", "generation": 0}` or `{"adopt": "<run>"}` on a socket, a line
each. The host answers `{"forked": "<run>", "pid": 7}`, `{"ended": "<run>"}`, or
`{"unable": "<run>"}` when it cannot fork now. It ends with the connection; the runners it forked
go on in sessions of their own.
"""

import gc
import json
import logging
import os
import selectors
import signal
import socket
import traceback
from collections.abc import Callable
from datetime import datetime
from typing import Any, NoReturn

from fleetjobs.errors import SpoolFull
from fleetjobs.node.runner import ORDER_SIGNAL, Runner
from fleetjobs.node.workplace import Workplace
from fleetjobs.registry import Registry
from fleetjobs.signing import SigningKey, node_key_id
from fleetjobs.spool.attempts import RunKey
from fleetjobs.spool.spool import Spool

logger = logging.getLogger(__name__)

START, ADOPT, GENERATION = "start", "adopt", "generation"
FORKED, ENDED, UNABLE = "forked", "ended", "unable"


class Host:
    """Forks and reaps; single-threaded, for only then a fork is whole."""

    def __init__(
        self,
        connection: socket.socket,
        workplace: Workplace,
        registry: Registry,
        clock: Callable[[], datetime],
    ) -> None:
        """Read once what all runners need. Raises InvalidSetting without a key."""
        self._connection = connection
        self._workplace = workplace
        self._clock = clock
        self._spool = Spool(workplace.spool)
        self._registry = registry
        self._signer = SigningKey.load(node_key_id(workplace.node), workplace.key)
        self._runners: dict[int, str] = {}
        self._unread = b""
        self._unsaid = bytearray()

    def serve(self) -> None:
        """Until the worker closes the connection, or dies."""
        wakeup = wake_up()
        gc.freeze()  # what is there stays: collecting it in a runner would copy its pages
        with selectors.DefaultSelector() as selector:
            selector.register(self._connection, selectors.EVENT_READ)
            selector.register(wakeup, selectors.EVENT_READ)
            while True:
                for key, events in selector.select():
                    if key.fileobj is not self._connection:
                        os.read(wakeup, 4096)
                    elif events & selectors.EVENT_READ and not self._hear():
                        return
                self._reap()
                self._tell()
                writes = selectors.EVENT_WRITE if self._unsaid else 0
                selector.modify(self._connection, selectors.EVENT_READ | writes)

    def _hear(self) -> bool:
        """Do what the worker says; False when it is gone."""
        try:
            received = self._connection.recv(65536)
        except ConnectionError:
            received = b""
        *lines, self._unread = (self._unread + received).split(b"\n")
        if lines:
            self._registry.refresh()
        for line in lines:
            self._fork(json.loads(line))
        return bool(received)

    def _fork(self, asked: dict[str, Any]) -> None:
        name = asked[START if START in asked else ADOPT]
        try:
            pid = os.fork()
        except OSError as error:
            logger.error("run %s: no process: %s", name, error.strerror)
            self._say({UNABLE: name})
            return
        if pid == 0:
            self._be_runner(RunKey.read(name), asked.get(GENERATION))
        self._runners[pid] = name
        self._say({FORKED: name, "pid": pid})

    def _be_runner(self, key: RunKey, generation: int | None) -> NoReturn:
        status = 1
        try:
            gc.disable()  # it lives as long as its program, and makes little
            os.setsid()
            self._connection.close()
            runner = Runner(
                workplace=self._workplace,
                spool=self._spool,
                registry=self._registry,
                signer=self._signer,
                clock=self._clock,
                wakeup=wake_up(),
            )
            if generation is None:
                runner.adopt(key)
            else:
                runner.start(key, generation)
            status = 0
        except (OSError, SpoolFull) as error:  # the launcher comes back to it
            logger.error("run %s: %s", key, error)
        except BaseException:  # noqa: BLE001  the rim of a process: it must not go on as the host
            traceback.print_exc()
        finally:
            os._exit(status)

    def _reap(self) -> None:
        while self._runners:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            name = self._runners.pop(pid, None)
            if name is not None:
                self._say({ENDED: name})

    def _say(self, message: dict[str, object]) -> None:
        self._unsaid += json.dumps(message).encode() + b"\n"
        self._tell()

    def _tell(self) -> None:
        """As much as the worker takes now: it may wait for us to hear it, and we never for it."""
        try:
            while self._unsaid:
                said = self._connection.send(self._unsaid, socket.MSG_DONTWAIT)
                del self._unsaid[:said]
        except BlockingIOError:
            return
        except ConnectionError:  # the worker is gone; the next read says so
            self._unsaid.clear()


def wake_up() -> int:
    """A descriptor that becomes readable when a child has ended, or there may be an order."""
    reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    for number in (signal.SIGCHLD, ORDER_SIGNAL):
        signal.signal(number, lambda _number, _frame: None)  # so that the wake-up is written
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    return reading
