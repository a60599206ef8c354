"""Coordinator: hands runs to nodes, collects replies, reaps what nobody answers for.

    python -m fleetjobs.programs.coordinator [--config FILE]

Settings: `programs.settings.CoordinatorSettings`, from the file and variables
FLEETJOBS_COORDINATOR_*.
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fleetjobs.broker.connections import REPLIES
from fleetjobs.broker.publishers import open_publisher
from fleetjobs.broker.subscribers import QueueSubscriber
from fleetjobs.coordinator.collector import Collector
from fleetjobs.coordinator.dispatcher import Dispatcher
from fleetjobs.coordinator.reaper import Reaper
from fleetjobs.errors import Fault
from fleetjobs.programs.logs import set_up_logs
from fleetjobs.programs.loops import Loops
from fleetjobs.programs.settings import CoordinatorSettings, load_settings
from fleetjobs.signing import COORDINATOR, SigningKey
from fleetjobs.store.bells import DISPATCH, Listener
from fleetjobs.store.database import Database

LOOK_EVERY_S = 1.0  #: the database is looked at even if no bell rings
REAP_EVERY_S = 2.0


def now() -> datetime:
    """The time."""
    return datetime.now(UTC)


def coordinate(settings: CoordinatorSettings) -> None:
    """Work until SIGTERM or SIGINT. Raises InvalidSetting."""
    key = SigningKey.load(COORDINATOR, settings.key)
    with ExitStack() as stack:
        database = stack.enter_context(closing(Database.open(settings.database)))
        publisher = stack.enter_context(closing(open_publisher(settings.broker)))
        subscriber = stack.enter_context(closing(QueueSubscriber(settings.broker, REPLIES)))
        dispatcher = Dispatcher(
            database=database,
            publisher=publisher,
            key=key,
            clock=now,
            ask_after=timedelta(seconds=settings.ask_after_s),
        )
        collector = Collector(database=database, subscriber=subscriber, clock=now)
        reaper = Reaper(database=database, clock=now)
        loops = Loops()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: loops.stop(0))
        loops.start("dispatcher", _Dispatching(database, dispatcher).step)
        loops.start("collector", collector.step)
        loops.start("reaper", reaper.step, every=REAP_EVERY_S)
        loops.wait()
        loops.stop()


class _Dispatching:
    """Dispatch whatever is due, then wait for a bell."""

    def __init__(self, database: Database, dispatcher: Dispatcher) -> None:
        self._database = database
        self._dispatcher = dispatcher
        self._listener: Listener | None = None

    def step(self) -> None:
        """Listen first, then look: what is submitted in between rings."""
        if self._listener is None:
            self._listener = self._database.listen(DISPATCH)
        while self._dispatcher.step():
            pass
        self._listener.wait(LOOK_EVERY_S)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the coordinator; its exit status."""
    parser = argparse.ArgumentParser(
        prog="fj coordinator", description="Hand runs to nodes and collect their replies."
    )
    parser.add_argument("--config", type=Path, help="settings, TOML")
    options = parser.parse_args(arguments)
    try:
        settings = load_settings(CoordinatorSettings, options.config, os.environ)
        set_up_logs(settings.log_level)
        coordinate(settings)
    except Fault as fault:
        sys.stderr.write(f"fj coordinator: {fault}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
