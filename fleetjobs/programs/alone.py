"""Alone: a request carried out here and now by the ordinary runner, without worker and broker."""

import os
import select
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn

from fleetjobs.contract import Progress
from fleetjobs.documents import decode, encode
from fleetjobs.errors import BrokenRun
from fleetjobs.messages import Delivery, Reply, Verb
from fleetjobs.names import JobId, NodeId
from fleetjobs.node.host import wake_up
from fleetjobs.node.reading import log_part, progress
from fleetjobs.node.runner import ORDER_SIGNAL, Runner
from fleetjobs.node.workplace import Workplace
from fleetjobs.registry import Registry
from fleetjobs.requests import Request
from fleetjobs.signing import SigningKey, digest, node_key_id, peek
from fleetjobs.spool.attempts import RunDirectory, RunKey
from fleetjobs.spool.fences import Fence
from fleetjobs.spool.spool import Spool

LOOK_EVERY_S = 0.1  #: how often what a run has written is looked at
CHUNK = 1024 * 1024

Shown = Callable[[bytes], object]  #: takes what the run wrote
Told = Callable[[Progress], object]  #: takes what it told of its progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Alone:
    """A node's runner without a node."""

    workplace: Workplace
    registry: Registry
    shown: Shown = lambda _: None
    told: Told = lambda _: None

    def carry_out(self, request: Request, attempt: int = 1) -> Reply:
        """See the request through and give its final reply; SIGINT and SIGTERM stop the program.

        Raises Fault if the disk takes no more.
        """
        node = self.workplace.node
        signer = SigningKey.load(node_key_id(node), self.workplace.key)
        spool = Spool(self.workplace.spool)
        run = _accept(spool, signer, node, request, attempt)
        pid = os.fork()
        if pid == 0:
            self._be_runner(spool, signer, run.key)
        with _stopping(spool, run.key, pid):
            self._watch(run, pid)
        final = run.final()
        if final is None:
            raise BrokenRun(f"the runner of {run.key} has ended without a word")
        for entry in spool.outbox():
            if entry.key == run.key:
                spool.confirm(entry)
        return decode(Reply, peek(final))

    def _be_runner(self, spool: Spool, signer: SigningKey, key: RunKey) -> NoReturn:
        status = 1
        try:
            os.setsid()  # ctrl-C is for who asked; the program is told to stop in its own way
            wakeup = wake_up()
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            runner = Runner(
                workplace=self.workplace,
                spool=spool,
                registry=self.registry,
                signer=signer,
                clock=now,
                wakeup=wakeup,
            )
            runner.start(key, 0)
            status = 0
        except BaseException:  # noqa: BLE001  the rim of a process: it must not go on as its parent
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)

    def _watch(self, run: RunDirectory, pid: int) -> None:
        """Show what the run writes until its runner has ended."""
        offsets = {"stdout": 0, "stderr": 0}
        last = None
        ending = os.pidfd_open(pid)
        try:
            is_over = False
            while not is_over:
                is_over = bool(select.select([ending], [], [], LOOK_EVERY_S)[0])
                self._show(run, offsets)
                told = progress(run)
                if told is not None and told != last:
                    self.told(told)
                    last = told
        finally:
            os.close(ending)
            os.waitpid(pid, 0)

    def _show(self, run: RunDirectory, offsets: dict[str, int]) -> None:
        for name in ("stdout", "stderr"):
            while content := log_part(run, name, offsets[name], CHUNK).content:
                offsets[name] += len(content)
                self.shown(content)


def _accept(
    spool: Spool, signer: SigningKey, node: NodeId, request: Request, attempt: int
) -> RunDirectory:
    sealed = signer.seal(encode(request))
    delivery = Delivery(
        job=request.id, node=node, attempt=attempt, request=digest(sealed), issued_at=now()
    )
    return spool.add(
        RunKey(JobId(request.id), attempt),
        delivery=signer.seal(encode(delivery)),
        request=sealed,
        accepted_at=now(),
    )


@contextmanager
def _stopping(spool: Spool, key: RunKey, runner: int) -> Iterator[None]:
    """Turn an interruption into an order to stop, as a cancel would be."""

    def stop(*_: object) -> None:
        spool.fences.put(key, Fence(generation=0, verb=Verb.STOP, at=now(), why="interrupted"))
        os.kill(runner, ORDER_SIGNAL)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def now() -> datetime:
    """The time."""
    return datetime.now(UTC)
