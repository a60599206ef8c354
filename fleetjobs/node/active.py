"""Active: the runs at work, looked after until they have ended, whoever forked their runners."""

import logging
import math
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from fleetjobs.documents import decode
from fleetjobs.errors import BrokenRun, Fault, SpoolFull
from fleetjobs.messages import Reply
from fleetjobs.names import JobId
from fleetjobs.node.hosting import RunnerHost, Word
from fleetjobs.node.lanes import Lanes, lane_of
from fleetjobs.node.orders import Orders
from fleetjobs.node.process import is_alive
from fleetjobs.node.reports import Reports
from fleetjobs.node.runner import ORDER_SIGNAL
from fleetjobs.node.teller import Teller
from fleetjobs.signing import peek
from fleetjobs.spool.attempts import EXPIRED, WITHDRAWN, Holder, RunDirectory, RunKey
from fleetjobs.spool.spool import Spool

logger = logging.getLogger(__name__)

TELL_AFTER_S = 0.5  #: a run that takes longer is reported as started; shorter ones only when ended
LOOK_EVERY_S = 0.5  #: how often a runner is looked at that another host forked
PAUSE_MAX_S = 30.0  #: the longest pause before a full disk is tried again


class OnFinished(Protocol):
    """Is told that an attempt has ended."""

    def __call__(self, reply: Reply, *, told: bool) -> None:
        """Take the final reply; `told` is whether the attempt was reported as started before."""
        ...


class OnWaiting(Protocol):
    """Is told that an attempt has no runner and has to wait for one."""

    def __call__(self, run: RunDirectory, delay_s: float = 0.0) -> None:
        """Take the run back, for the seconds at least."""
        ...


@dataclass(slots=True, kw_only=True)
class Active:
    """A run that was handed to a host, or whose runner is not this host's."""

    run: RunDirectory
    must_stop: bool = False  # its runner has to be told
    tell_at: float = 0.0  # monotonic; when to report it as started
    told: bool = False  # it was
    look_at: float = math.inf  # monotonic; infinite while the host tells us of its end
    retry_at: float = 0.0  # monotonic; not adopted again before
    failures: int = 0  # runners that ended without settling it


class ActiveRuns:
    """All of them. Belongs to the launcher's thread."""

    def __init__(
        self,
        *,
        spool: Spool,
        host: RunnerHost,
        orders: Orders,
        lanes: Lanes,
        reports: Reports,
        on_waiting: OnWaiting,
        on_expired: Callable[[RunDirectory], object],
        on_started: Callable[[Reply], None],
        on_finished: OnFinished,
        on_gone: Callable[[JobId], None],
    ) -> None:
        """`on_gone` is told when an attempt of a job is no more in the way of the next one."""
        self._spool = spool
        self._host = host
        self._orders = orders
        self._lanes = lanes
        self._reports = reports
        self._on_waiting = on_waiting
        self._on_expired = on_expired
        self._on_started = on_started
        self._on_finished = on_finished
        self._on_gone = on_gone
        self._teller = Teller(reports.headway)
        self._runs: dict[RunKey, Active] = {}

    def __len__(self) -> int:
        return len(self._runs)

    def next_look(self) -> float:
        """When to look at one of them, monotonic; infinite if there is no need."""
        looks = [min(each.tell_at, each.look_at) for each in self._runs.values()]
        return min(self._teller.look_at, *looks) if looks else math.inf

    def start(self, run: RunDirectory, generation: int, lane: str) -> None:
        """Have a runner start it."""
        active = Active(run=run, tell_at=time.monotonic() + TELL_AFTER_S)
        self._runs[run.key] = active
        self._lanes.enter(run.key, lane)
        if not self._host.run(run.key, generation):
            active.look_at = time.monotonic() + LOOK_EVERY_S

    def enter(self, run: RunDirectory) -> Active:
        """The run as one that is at work, if it was not yet."""
        if run.key not in self._runs:
            self._runs[run.key] = Active(run=run)
            with suppress(BrokenRun):
                self._lanes.enter(run.key, lane_of(run.accepted))
        return self._runs[run.key]

    def look_at_all(self) -> None:
        """The host is a new one: what the last one did is seen on the disk."""
        for active in self._runs.values():
            active.look_at = 0.0

    def hear_host(self) -> int:
        """Go on with what the host tells of; how many runs have ended."""
        done = 0
        for word, key in self._host.take():
            active = self._runs.get(key)
            if active is not None and word is not Word.FORKED:
                active.failures += 1
                done += self.look(active.run)
        return done

    def look_again(self) -> int:
        """Look at runs whose end nobody tells us; how many have ended."""
        now = time.monotonic()
        due = [active for active in self._runs.values() if active.look_at <= now]
        return sum(self.look(active.run) for active in due)

    def look(self, run: RunDirectory) -> bool:
        """See on the disk how a run stands, and go on from there; whether it has ended."""
        final = run.final()
        if final is not None:
            self._finish(self.enter(run), final)
            return True
        if self._spool.find(run.key) is None:  # withdrawn
            self._leave(run.key)
            return False
        active, now, holder = self.enter(run), time.monotonic(), run.holder()
        if holder is None:
            self._leave(run.key)
            self._on_waiting(run, 2 * LOOK_EVERY_S if active.failures else 0.0)
        elif is_alive(holder):
            active.look_at = now + LOOK_EVERY_S
            if active.must_stop:
                _tell(holder)
        elif active.retry_at > now:
            active.look_at = active.retry_at
        else:
            active.retry_at = now + min(PAUSE_MAX_S, LOOK_EVERY_S * 2.0**active.failures)
            active.look_at = active.retry_at
            self._go_on(active, holder)
        return False

    def _go_on(self, active: Active, holder: Holder) -> None:
        """With a run whose holder is no more: what it had begun is to be brought to its end."""
        key = active.run.key
        if holder == EXPIRED:
            self._on_expired(active.run)
        elif holder == WITHDRAWN:
            with suppress(SpoolFull):
                self._orders.carry_out(key)
            active.look_at = 0.0
        elif self._host.adopt(key):
            active.look_at = math.inf

    def tell(self) -> None:
        """Report the runs that take longer, and how far they have come."""
        self._tell_started()
        self._teller.step([active.run for active in self._runs.values() if active.told])

    def _tell_started(self) -> None:
        now = time.monotonic()
        for active in self._runs.values():
            if active.tell_at > now:
                continue
            started_at = active.run.started_at()
            if started_at is None:
                active.tell_at = now + TELL_AFTER_S
                continue
            left = TELL_AFTER_S - (self._reports.clock() - started_at).total_seconds()
            if 0 < left < TELL_AFTER_S:  # it took its time to begin
                active.tell_at = now + left
                continue
            active.tell_at, active.told = math.inf, True
            self._on_started(self._reports.started(active.run, started_at))

    def _finish(self, active: Active, final: str) -> None:
        self._leave(active.run.key)
        self._reports.on_outbox()
        try:
            reply = decode(Reply, peek(final))
        except Fault as fault:
            logger.error("run %s: its reply is broken: %s", active.run.key, fault)
        else:
            self._on_finished(reply, told=active.told)

    def _leave(self, key: RunKey) -> None:
        self._runs.pop(key, None)
        self._lanes.leave(key)
        self._on_gone(key.job)


def _tell(holder: Holder) -> None:
    """Have a runner look for an order; told again until it has ended, so that none is missed."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(holder.pid, ORDER_SIGNAL)
