"""Coordinator: hands runs to nodes, collects replies, reaps what nobody answers for.

    python -m fleetjobs.programs.coordinator [--config FILE] [run]
    python -m fleetjobs.programs.coordinator [--config FILE] prune [--dry-run]

Of several, one leads; all collect. A job is pruned long after its end: the leader does it, too.

Settings: `programs.settings.CoordinatorSettings`, from the file and variables
FLEETJOBS_COORDINATOR_*.
"""

import os
import random
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from time import monotonic

from fleetjobs.broker.connections import REPLIES
from fleetjobs.broker.publishers import open_publisher
from fleetjobs.broker.subscribers import open_subscriber
from fleetjobs.clocks import now, pace
from fleetjobs.control.acceptance import Acceptance
from fleetjobs.control.followers import Followers
from fleetjobs.control.rights import Register
from fleetjobs.control.works import Seal
from fleetjobs.coordinator.collector import Collector
from fleetjobs.coordinator.dispatcher import Dispatcher
from fleetjobs.coordinator.lead import Lead
from fleetjobs.coordinator.notifier import Alarm, Notifier
from fleetjobs.coordinator.pruner import Pruner, Retention
from fleetjobs.coordinator.reaper import Reaper
from fleetjobs.coordinator.scheduler import Scheduler
from fleetjobs.coordinator.warden import Warden
from fleetjobs.documents import encode
from fleetjobs.errors import Fault, Unavailable
from fleetjobs.programs.arguments import Parser
from fleetjobs.programs.listening import Listening, Work, wait_s
from fleetjobs.programs.logs import set_up_logs
from fleetjobs.programs.loops import Loops
from fleetjobs.programs.notifying import ways
from fleetjobs.programs.settings import CoordinatorSettings, load_settings
from fleetjobs.signing import COORDINATOR, SERVER, SigningKey
from fleetjobs.store.bells import DISPATCH, NOTICES, SCHEDULES, Listener
from fleetjobs.store.database import Database, ring
from fleetjobs.store.replies import follow_nothing

LOOK_EVERY_S = 3.0  #: the database is looked at even if no bell rings; see `standing.SOON`
NOTE_AFTER_S = 0.05  #: what has not ended is noted when no other has ended for so long
NOTE_WITHIN_S = 2.0  #: and after that though one end follows the other
NOTIFY_EVERY_S = 15.0  #: whether a job takes too long is looked at so often
RESCHEDULE_S = 5.0  #: schedules are looked at though no bell rings: a clock may have been set
REAP_EVERY_S = 3.0
PRUNE_EVERY_S = 3600.0
RENEW = 0.3  #: share of the lease after which it is renewed; whoever stands by looks as often
FORETOLD = 1000  #: jobs that a dry run names at most


def coordinate(settings: CoordinatorSettings) -> None:
    """Work until SIGTERM or SIGINT. Raises InvalidSetting."""
    key = SigningKey.load(COORDINATOR, settings.key)
    with ExitStack() as stack:
        database = stack.enter_context(closing(Database.open(settings.database)))
        publisher = stack.enter_context(closing(open_publisher(settings.broker)))
        subscriber = stack.enter_context(closing(open_subscriber(settings.broker, REPLIES)))
        register = Register()
        dispatcher = Dispatcher(
            database=database,
            publisher=publisher,
            key=key,
            clock=now,
            ask_after=timedelta(seconds=settings.ask_after_s),
            warden=Warden(database, now, register),
        )
        seal = None if settings.server_key is None else _sealing(settings.server_key)
        follow = follow_nothing if seal is None else Followers(seal, Acceptance(register)).follow
        expected = dispatcher.expected
        collector = Collector(database, subscriber, now, random.random, expected, follow)
        lead = _lead(settings, database)
        alarm = Alarm(database, now, settings.admins)
        loops = Loops(alarm.tell if settings.admins else None)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: loops.stop(0))
        with suppress(Unavailable):
            lead.step()
        loops.start("lead", _Leading(lead, loops).step, every=settings.lease_s * RENEW)
        dispatching = stack.enter_context(closing(_Dispatching(database, dispatcher, lead)))
        loops.start("dispatcher", dispatching.step)
        loops.start("collector", collector.step)
        _start_leading(settings, collector, seal, _Office(database, lead, loops, stack))
        loops.wait()
        with suppress(Unavailable), database.transaction() as connection:
            for topic in (DISPATCH, SCHEDULES, NOTICES):
                ring(connection, topic)  # who waits for a bell hears that it is time to end
        loops.stop()
        with suppress(Unavailable):  # then the lease runs out by itself
            lead.end()


def _lead(settings: CoordinatorSettings, database: Database) -> Lead:
    return Lead(
        database,
        now,
        holder=f"{socket.gethostname()}:{os.getpid()}",
        ttl=timedelta(seconds=settings.lease_s * (1 - RENEW)) * max(1.0, pace()),
        is_gone=_is_gone,
    )


@dataclass(frozen=True, slots=True)
class _Office:
    """Starts loops of work that only the leader does."""

    database: Database
    lead: Lead
    loops: Loops
    stack: ExitStack  # closes what listens

    def start(self, name: str, step: Callable[[], object], every_s: float) -> None:
        """Repeat the step; nothing is done by those who stand by."""

        def leading() -> None:
            if self.lead.is_ours:
                step()

        self.loops.start(name, leading, every=every_s)

    def listen(self, name: str, topic: str, work: Work, every_s: float) -> None:
        """Do the work when that bell rings, when it is due, and so often."""
        listening = Listening(self.database, topic, work, self.lead, every_s=every_s)
        self.loops.start(name, self.stack.enter_context(closing(listening)).step)


def _start_leading(
    settings: CoordinatorSettings, collector: Collector, seal: Seal | None, office: _Office
) -> None:
    database = office.database
    notifier = Notifier(database, now, ways(settings))
    reaper = Reaper(database, now, lambda: collector.hears_since, random.random)
    pruning = _Pruning(Pruner(database, now, _retention(settings)))
    if seal is not None:
        scheduler = Scheduler(database, now, seal)
        office.listen("scheduler", SCHEDULES, scheduler, RESCHEDULE_S)
    office.listen("notifier", NOTICES, notifier, NOTIFY_EVERY_S)
    office.start("notifications", notifier.tidy, PRUNE_EVERY_S)
    office.start("reaper", reaper.step, REAP_EVERY_S)
    office.start("pruner", pruning.step, PRUNE_EVERY_S)


def _sealing(path: Path) -> Seal:
    """Signs for those whose schedules or actions ask. Raises InvalidSetting."""
    key = SigningKey.load(SERVER, path)
    return lambda request: key.seal(encode(request))


def _retention(settings: CoordinatorSettings) -> Retention:
    legs = settings.keep_legs_days
    return Retention(
        jobs=timedelta(days=settings.keep_jobs_days),
        logs=timedelta(days=settings.keep_logs_days),
        attempts=timedelta(days=settings.keep_attempts_days),
        legs=None if legs is None else timedelta(days=legs),
    )


def _is_gone(holder: str) -> bool:
    """Whether that coordinator was of this machine and is no more."""
    host, _, pid = holder.rpartition(":")
    return host == socket.gethostname() and not Path("/proc", pid).exists()


@dataclass(frozen=True, slots=True)
class _Leading:
    """Lead or stand by, until a person says that it is time to end."""

    lead: Lead
    loops: Loops

    def step(self) -> None:
        """Look once."""
        self.lead.step()
        if self.lead.stopped.is_set():
            self.loops.stop(0)


@dataclass(frozen=True, slots=True)
class _Pruning:
    """Prune batch after batch."""

    pruner: Pruner

    def step(self) -> None:
        """Until nothing is left to be pruned."""
        while self.pruner.step():
            pass


class _Dispatching:
    """Dispatch whatever is due, if we lead, then wait for a bell."""

    def __init__(self, database: Database, dispatcher: Dispatcher, lead: Lead) -> None:
        self._database = database
        self._dispatcher = dispatcher
        self._lead = lead
        self._listener: Listener | None = None

    def step(self) -> None:
        """Listen first, then look: what is submitted in between rings.

        What was handed over is noted a moment later, if it has not ended by then.
        """
        if self._listener is None:
            self._listener = self._database.listen(DISPATCH)
        sent = None
        while self._lead.is_ours and (sent := self._dispatcher.send()).is_full:
            pass
        if self._await_ends(self._listener):
            return
        self._dispatcher.note(timedelta(0))
        self._listener.wait(wait_s(sent.next_at if sent else None, LOOK_EVERY_S))

    def _await_ends(self, listener: Listener) -> bool:
        """Wait as long as one end follows the other; whether a bell rang meanwhile."""
        expected, before = self._dispatcher.expected, 0
        until = monotonic() + NOTE_WITHIN_S
        while expected and monotonic() < until:
            if len(expected) == before and not expected.is_moving:
                break
            before = len(expected)
            if listener.wait(NOTE_AFTER_S) is not None:
                return True
        return False

    def close(self) -> None:
        """Listen no more."""
        if self._listener is not None:
            self._listener.close()


def prune(settings: CoordinatorSettings, *, dry_run: bool) -> None:
    """Forget what is old, or say which jobs that would be."""
    with closing(Database.open(settings.database)) as database:
        pruner = Pruner(database, now, _retention(settings))
        if dry_run:
            old = pruner.foretell(FORETOLD)
            sys.stdout.writelines(f"{job}\n" for job in old)
            sys.stderr.write(f"{len(old) or 'no'} jobs are old enough to be forgotten\n")
        else:
            _Pruning(pruner).step()
            sys.stderr.write("what was old is forgotten\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the coordinator; its exit status."""
    parser = Parser(
        prog="fj coordinator", description="Hand runs to nodes and collect their replies."
    )
    parser.add_argument("--config", type=Path, help="settings, TOML")
    parser.add_argument("command", nargs="?", choices=("run", "prune"), default="run")
    parser.add_argument("--dry-run", action="store_true", help="of prune: name the jobs only")
    options = parser.parse_args(arguments)
    try:
        settings = load_settings(CoordinatorSettings, options.config, os.environ)
        set_up_logs(settings.log_level)
        if options.command == "prune":
            prune(settings, dry_run=options.dry_run)
        else:
            coordinate(settings)
    except Fault as fault:
        sys.stderr.write(f"fj coordinator: {fault}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
