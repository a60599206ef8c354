"""Launcher: start what is due, one runner each; look after those whose runner was killed."""

import logging
import math
import os
import selectors
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from fleetjobs.errors import Fault, SpoolFull
from fleetjobs.jobs import NodeId
from fleetjobs.messages import Delivery, Reply, Stage, decode, encode
from fleetjobs.node.hosting import RunnerHost, Word
from fleetjobs.node.process import is_alive
from fleetjobs.node.runner import broken_verdict, final_reply
from fleetjobs.node.verdict import Verdict, fail
from fleetjobs.node.waiting import Waiting, WaitingRuns
from fleetjobs.signing import SigningKey, peek
from fleetjobs.spool.attempts import RunDirectory, RunKey
from fleetjobs.spool.spool import Spool
from fleetjobs.states import Reason, State

logger = logging.getLogger(__name__)

TELL_AFTER_S = 0.5  #: a run that takes longer is reported as started; shorter ones only when ended
LOOK_EVERY_S = 0.5  #: how often a runner is looked at that another host forked
PAUSE_MAX_S = 30.0  #: the longest pause before a full disk is tried again
HOST_PAUSE_S = 1.0  #: at least so long between two starts of a host


class OnFinished(Protocol):
    """Is told that an attempt has ended."""

    def __call__(self, reply: Reply, *, told: bool) -> None:
        """Take the final reply; `told` is whether the attempt was reported as started before."""
        ...


@dataclass(slots=True, kw_only=True)
class _Active:
    """A run that was handed to a host, or whose runner is not this host's."""

    run: RunDirectory
    tell_at: float = 0.0  # monotonic; when to report it as started
    told: bool = False  # it was
    look_at: float = math.inf  # monotonic; infinite while the host tells us of its end
    retry_at: float = 0.0  # monotonic; not adopted again before
    failures: int = 0  # runners that ended without settling it


class Launcher:
    """Knows in memory what waits and what runs; looks through the spool only at its start.

    `step`, `wait` and the counts belong to one thread; `wake` may be called from any.
    """

    def __init__(
        self,
        *,
        node: NodeId,
        spool: Spool,
        host: RunnerHost,
        signer: SigningKey,
        slots: int,
        clock: Callable[[], datetime],
        on_started: Callable[[Reply], None],
        on_finished: OnFinished,
        on_outbox: Callable[[], None],
    ) -> None:
        """`slots` runs go on at once; `on_outbox` is called when there is something to send."""
        self._node = node
        self._spool = spool
        self._host = host
        self._signer = signer
        self._slots = slots
        self._clock = clock
        self._on_started = on_started
        self._on_finished = on_finished
        self._on_outbox = on_outbox
        self._waiting = WaitingRuns()
        self._active: dict[RunKey, _Active] = {}
        self._is_new = True
        self._host_at = 0.0  # monotonic; when a host may be started
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    @property
    def running(self) -> int:
        """How many runs are at work."""
        return len(self._active)

    @property
    def waiting(self) -> int:
        """How many accepted runs have not been started."""
        return len(self._waiting)

    def wake(self) -> None:
        """Let `wait` return: something was added to the spool. From any thread."""
        with suppress(BlockingIOError):  # full of wake-ups already
            os.write(self._wake_write, b"!")

    def wait(self, within: float) -> None:
        """Until there may be something to do, or the seconds have passed."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake_read, selectors.EVENT_READ)
            if self._host.is_connected:
                selector.register(self._host, selectors.EVENT_READ)
            for key, _ in selector.select(min(within, self._until_next())):
                if key.fd == self._wake_read:
                    os.read(self._wake_read, 4096)

    def step(self) -> int:
        """Do all that is due now; how many runs were started or ended."""
        self._keep_host()
        if self._is_new:
            self._is_new = False
            self._spool.sweep()
            for run in self._spool.unsettled():
                self._look(run)
        for run in self._spool.take_new():
            self._take_in(run)
        done = self._hear_host() + self._look_again() + self._expire()
        self._tell_started()
        return done + self._start_due()

    def _until_next(self) -> float:
        """Seconds until something is due by itself."""
        now, mono = self._clock(), time.monotonic()
        moments = [self._waiting.next_end()]
        if len(self._active) < self._slots:
            moments.append(self._waiting.next_due(now))
        pauses = [(moment - now).total_seconds() for moment in moments if moment]
        pauses += [min(each.tell_at, each.look_at) - mono for each in self._active.values()]
        if not self._host.is_connected:
            pauses.append(self._host_at - mono)
        return max(0.0, min(pauses, default=math.inf))

    def _keep_host(self) -> None:
        """Start the host if there is none; what the last one did is seen on the disk."""
        if self._host.is_connected or time.monotonic() < self._host_at:
            return
        self._host_at = time.monotonic() + HOST_PAUSE_S
        try:
            self._host.start()
        except OSError as error:
            logger.error("no runner host: %s", error)
            return
        logger.info("runner host started")
        for active in self._active.values():
            active.look_at = 0.0

    def _hear_host(self) -> int:
        done = 0
        for word, key in self._host.take():
            active = self._active.get(key)
            if active is not None and word is not Word.FORKED:
                active.failures += 1
                done += self._look(active.run)
        return done

    def _look_again(self) -> int:
        """Look at runs whose end nobody tells us."""
        now = time.monotonic()
        due = [active for active in self._active.values() if active.look_at <= now]
        return sum(self._look(active.run) for active in due)

    def _look(self, run: RunDirectory) -> bool:
        """See on the disk how a run stands, and go on from there; whether it has ended."""
        active = self._active.setdefault(run.key, _Active(run=run))
        final = run.final()
        if final is not None:
            self._finish(active, final)
            return True
        now = time.monotonic()
        holder = run.holder()
        if holder is not None and is_alive(holder):
            active.look_at = now + LOOK_EVERY_S
        elif active.retry_at > now:
            active.look_at = active.retry_at
        elif holder is None:
            del self._active[run.key]
            self._take_in(run, delay_s=2 * LOOK_EVERY_S if active.failures else 0.0)
        else:
            active.retry_at = now + min(PAUSE_MAX_S, LOOK_EVERY_S * 2.0**active.failures)
            active.look_at = math.inf if self._host.adopt(run.key) else active.retry_at
        return False

    def _take_in(self, run: RunDirectory, delay_s: float = 0.0) -> None:
        """Let an unclaimed run wait for its time."""
        try:
            accepted = run.accepted
            delivery = decode(Delivery, peek(accepted.delivery))
        except Fault as fault:
            logger.error("run %s is broken: %s", run.key, fault)
            self._settle(run, broken_verdict(fault))
            return
        not_before = delivery.not_before
        if delay_s:
            not_before = self._clock() + timedelta(seconds=delay_s)
        self._waiting.add(
            Waiting(
                run=run,
                since=accepted.accepted_at,
                not_before=not_before,
                start_before=delivery.start_before,
            )
        )

    def _expire(self) -> int:
        """Settle what was not started in time."""
        count = 0
        while (waiting := self._waiting.take_expired(self._clock())) is not None:
            if waiting.run.holder() is not None:  # by a runner whose host is gone
                self._look(waiting.run)
                continue
            verdict = replace(
                fail(Reason.START_BEFORE, f"not started by {waiting.start_before:%FT%TZ}"),
                state=State.EXPIRED,
            )
            self._settle(waiting.run, verdict)
            count += 1
        return count

    def _start_due(self) -> int:
        count = 0
        while self._host.is_connected and len(self._active) < self._slots:
            waiting = self._waiting.take_due(self._clock())
            if waiting is None:
                break
            active = _Active(run=waiting.run, tell_at=time.monotonic() + TELL_AFTER_S)
            self._active[waiting.run.key] = active
            if not self._host.run(waiting.run.key):
                active.look_at = time.monotonic() + LOOK_EVERY_S
            count += 1
        return count

    def _tell_started(self) -> None:
        """Report the runs that take longer."""
        now = time.monotonic()
        for active in self._active.values():
            if active.tell_at > now:
                continue
            started_at = active.run.started_at()
            if started_at is None:
                active.tell_at = now + TELL_AFTER_S
                continue
            active.tell_at, active.told = math.inf, True
            reply = Reply(
                job=active.run.key.job,
                node=self._node,
                attempt=active.run.key.attempt,
                stage=Stage.STARTED,
                started_at=started_at,
            )
            self._on_started(reply)
            self._put(active.run, reply)

    def _settle(self, run: RunDirectory, verdict: Verdict) -> None:
        """End a run that never began."""
        reply = final_reply(run, self._node, verdict, self._clock())
        if self._put(run, reply):
            self._on_finished(reply, told=False)
        else:
            self._active[run.key] = _Active(run=run, look_at=time.monotonic() + PAUSE_MAX_S)

    def _put(self, run: RunDirectory, reply: Reply) -> bool:
        try:
            self._spool.put_reply(run.key, reply.stage, self._signer.seal(encode(reply)))
        except SpoolFull as full:
            logger.error("run %s: %s", run.key, full)
            return False
        self._on_outbox()
        return True

    def _finish(self, active: _Active, final: str) -> None:
        del self._active[active.run.key]
        self._on_outbox()
        try:
            reply = decode(Reply, peek(final))
        except Fault as fault:
            logger.error("run %s: its reply is broken: %s", active.run.key, fault)
        else:
            self._on_finished(reply, told=active.told)
