"""Launcher: start what is due, one runner each; look after those whose runner was killed."""

import heapq
import logging
import os
import selectors
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from fleetjobs.documents import decode
from fleetjobs.errors import Fault, SpoolFull
from fleetjobs.messages import Delivery, Reply
from fleetjobs.names import JobId
from fleetjobs.node.active import PAUSE_MAX_S, ActiveRuns, OnFinished
from fleetjobs.node.backlog import Backlog
from fleetjobs.node.hosting import RunnerHost
from fleetjobs.node.lanes import Lanes, Limits, behind, lane_of
from fleetjobs.node.orders import Orders
from fleetjobs.node.replies import broken_verdict
from fleetjobs.node.reports import Reports
from fleetjobs.node.verdict import Verdict, fail
from fleetjobs.node.waiting import Waiting, WaitingRuns
from fleetjobs.signing import peek
from fleetjobs.spool.attempts import EXPIRED, RunDirectory, RunKey
from fleetjobs.spool.spool import Spool
from fleetjobs.states import Reason, State

logger = logging.getLogger(__name__)

BLOCKED_AFTER = timedelta(seconds=0.5)  #: a run that waits longer for a slot says who has it
HOST_PAUSE_S = 1.0  #: at least so long between two starts of a host


class Launcher:
    """Knows in memory what waits and what runs; looks through the spool only at its start.

    `step`, `wait` and the counts belong to one thread; `wake` and `reconsider` to any.
    """

    def __init__(
        self,
        *,
        spool: Spool,
        host: RunnerHost,
        orders: Orders,
        reports: Reports,
        backlog: Backlog,
        slots: int,
        limits: Limits,
        clock: Callable[[], datetime],
        on_started: Callable[[Reply], None],
        on_finished: OnFinished,
    ) -> None:
        """`slots` runs go on at once, and no more of an action than `limits` says."""
        self._spool = spool
        self._host = host
        self._orders = orders
        self._reports = reports
        self._backlog = backlog
        self._clock = clock
        self._lanes = Lanes(slots, limits)
        self._active = ActiveRuns(
            spool=spool,
            host=host,
            orders=orders,
            lanes=self._lanes,
            reports=reports,
            on_waiting=self._take_in,
            on_expired=lambda run: self._settle(run, _too_late(None)),
            on_started=on_started,
            on_finished=on_finished,
            on_gone=self._release,
        )
        self._waiting = WaitingRuns()
        self._behind: dict[JobId, RunKey] = {}  # attempts that wait for an earlier one to end
        self._overdue: list[tuple[datetime, RunKey]] = []  # when to tell who is in the way
        self._ordered: deque[RunKey] = deque()
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

    def reconsider(self, key: RunKey) -> None:
        """An order has changed how the attempt stands. From any thread."""
        self._ordered.append(key)
        self.wake()

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
        """Do all that is due now; how many runs were started or ended.

        Raises SpoolFull if the disk cannot be read now: the next one looks through all of it, as
        after whatever else goes wrong.
        """
        try:
            return self._go_on()
        except Exception:
            self._is_new = True
            self._active.look_at_all()  # what was heard of them meanwhile may be lost
            raise

    def _go_on(self) -> int:
        self._keep_host()
        if self._is_new:
            self._is_new = False
            self._look_through()
        for run in self._spool.take_new():
            self._take_in(run)
        done = self._hear_orders() + self._active.hear_host() + self._active.look_again()
        done += self._expire()
        self._active.tell()
        done += self._start_due()
        self._tell_blocked()
        return done

    def _until_next(self) -> float:
        """Seconds until something is due by itself."""
        now, mono = self._clock(), time.monotonic()
        moments = [self._waiting.next_end(), *(at for at, _ in self._overdue[:1])]
        held_back_s = self._backlog.wait_s()
        if self._lanes.has_room() and not held_back_s:
            moments.append(self._waiting.next_due(now, self._lanes.full()))
        pauses = [(moment - now).total_seconds() for moment in moments if moment]
        if held_back_s:
            pauses.append(held_back_s)
        pauses.append(self._active.next_look() - mono)
        if not self._host.is_connected:
            pauses.append(self._host_at - mono)
        return max(0.0, min(pauses))

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
        self._active.look_at_all()

    def _look_through(self) -> None:
        """Find out at the start how everything stands; orders may be half done."""
        self._spool.sweep()
        for run in sorted(self._spool.unsettled(), key=lambda run: run.key):
            fence = self._spool.fences.find(run.key)
            if fence is not None:
                self._active.enter(run).must_stop = fence.is_stop
                with suppress(SpoolFull):
                    self._orders.carry_out(run.key)
            self._active.look(run)

    def _hear_orders(self) -> int:
        """See what became of the attempts that something was ordered of."""
        done = 0
        while self._ordered:
            key = self._ordered.popleft()
            self._waiting.take(key)
            run = self._spool.find(key)
            if run is None:
                self._release(key.job)
                continue
            fence = self._spool.fences.find(key)
            self._active.enter(run).must_stop = fence is not None and fence.is_stop
            done += self._active.look(run)
        return done

    def _take_in(self, run: RunDirectory, delay_s: float = 0.0, *, again: bool = True) -> None:
        """Let an unclaimed run wait for its time, and for the end of earlier attempts."""
        try:
            accepted = run.accepted
            delivery = decode(Delivery, peek(accepted.delivery))
        except Fault as fault:
            if self._spool.find(run.key) is None:  # it was withdrawn
                return
            if again:  # it was withdrawn, and came anew
                self._take_in(run, delay_s, again=False)
                return
            logger.error("run %s is broken: %s", run.key, fault)
            self._settle(run, broken_verdict(fault))
            return
        now = self._clock()
        not_before = now + timedelta(seconds=delay_s) if delay_s else delivery.not_before
        self._waiting.add(
            Waiting(
                run=run,
                since=accepted.accepted_at,
                not_before=not_before,
                start_before=delivery.start_before,
                generation=accepted.generation,
                lane=self._behind_lane(run.key) or lane_of(accepted),
            )
        )
        due = max(now, not_before) if not_before else now
        heapq.heappush(self._overdue, (due + BLOCKED_AFTER, run.key))

    def _behind_lane(self, key: RunKey) -> str:
        """The lane in which it waits for an earlier attempt; empty if it need not."""
        if not self._spool.earlier(key):
            return ""
        self._behind[key.job] = key
        self._lanes.hold_up(behind(key.job))
        return behind(key.job)

    def _release(self, job: JobId) -> None:
        """An attempt of the job has ended, or is gone: the next one need not wait for it."""
        key = self._behind.pop(job, None)
        if key is None:
            return
        self._lanes.let_go(behind(job))
        waiting = self._waiting.take(key)
        if waiting is not None:
            self._take_in(waiting.run)

    def _expire(self) -> int:
        """Settle what was not started in time."""
        count = 0
        while (waiting := self._waiting.take_expired(self._clock())) is not None:
            try:
                is_ours = self._spool.take_back(waiting.run, EXPIRED)
            except SpoolFull as full:
                logger.error("run %s: %s", waiting.run.key, full)
                self._active.enter(waiting.run).look_at = time.monotonic() + PAUSE_MAX_S
                continue
            if is_ours:
                count += self._settle(waiting.run, _too_late(waiting.start_before))
            else:
                self._active.look(waiting.run)
        return count

    def _start_due(self) -> int:
        count = 0
        if self._backlog.wait_s():
            return count
        while self._host.is_connected and self._lanes.has_room():
            waiting = self._waiting.take_due(self._clock(), self._lanes.full())
            if waiting is None:
                break
            self._active.start(waiting.run, waiting.generation, waiting.lane)
            count += 1
        return count

    def _tell_blocked(self) -> None:
        """Report which job holds the slot that a run waits for."""
        now = self._clock()
        while self._overdue and self._overdue[0][0] <= now:
            _, key = heapq.heappop(self._overdue)
            waiting = self._waiting.find(key)
            blocker = self._lanes.blocker(waiting.lane) if waiting else None
            if waiting is not None and blocker is not None:
                self._reports.blocked(key, waiting.generation, blocker)

    def _settle(self, run: RunDirectory, verdict: Verdict) -> bool:
        """End a run that never began; False if the disk is full, then it is tried again."""
        reply = self._reports.settle(run, verdict)
        if reply is None:
            self._active.enter(run).look_at = time.monotonic() + PAUSE_MAX_S
            return False
        self._active.look(run)
        return True


def _too_late(start_before: datetime | None) -> Verdict:
    when = f" by {start_before:%FT%TZ}" if start_before else " in time"
    return replace(fail(Reason.START_BEFORE, f"not started{when}"), state=State.EXPIRED)
