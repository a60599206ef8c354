"""Calendar: hundreds of schedules at a thousand times the speed, while coordinators are killed.

    python -m tests.faults.calendar [--minutes 10] [--schedules 200] [--pace 1000] [--every 3]
                                    [--database sqlite|postgres] [--seed N]

Two real coordinators share a database and a test clock. In turn each is killed and started again,
or stopped until its lease is over and then let go on; the clock jumps by an hour and by a day, both
ways, and summer time begins and ends in some zones. Exits with 1 if a moment that the independent
calculator knows has not exactly one fate, or a job that it should not have.
"""

import argparse
import os
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from sqlalchemy import func, select

from fleetjobs.clocks import VARIABLE, set_clock
from fleetjobs.signing import COORDINATOR, SERVER, SigningKey
from fleetjobs.store.database import Database
from fleetjobs.store.schedules import next_due
from fleetjobs.store.schema.schedules import occurrences
from tests.calendars import calculate, complaints, draw
from tests.faults.parts import Part
from tests.processes import wait_for
from tests.servers import Postgres, Redis

BEGIN = datetime(2026, 3, 28, 12, 17, tzinfo=UTC)  # Europe forward in 13 h, Sydney back in 7 days
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
JUMPS = (HOUR, -DAY, -HOUR, DAY)
LEASE_S = 2.0
ASLEEP_S = 3.0  #: longer than a lease
DRAIN_S = 300.0


class Calendar:
    """Two coordinators, a database full of schedules, and a clock."""

    def __init__(self, place: Path, url: str, broker: str) -> None:
        self.database = Database.open(url)
        self.database.migrate()
        SigningKey.generate(COORDINATOR).save(place / "coordinator.pem")
        SigningKey.generate(SERVER).save(place / "server.pem")
        settings = {
            "broker": broker,
            "database": url,
            "key": "coordinator.pem",
            "server_key": "server.pem",
        }
        lines = [f'{name} = "{value}"' for name, value in settings.items()]
        numbers = [f"lease_s = {LEASE_S}", "ask_after_s = 1e8"]  # nobody is there to be asked
        (place / "coordinator.toml").write_text("\n".join([*lines, *numbers]))
        self.parts = [
            Part(
                name=name,
                module="fleetjobs.programs.coordinator",
                settings=place / "coordinator.toml",
                log=place / f"{name}.log",
                environment={VARIABLE: os.environ[VARIABLE]},
            )
            for name in ("first", "second")
        ]
        self.done: Counter[str] = Counter()

    def disturb(self, dice: Random, seconds: float, every_s: float) -> None:
        """Kill or stop one after the other for so long, and let the clock jump meanwhile."""
        began, turn = time.monotonic(), 0
        jumps = list(JUMPS)
        while (gone := time.monotonic() - began) < seconds:
            time.sleep(every_s * dice.uniform(0.5, 1.5))
            part = self.parts[turn % 2]
            if dice.random() < 0.25:
                part.pause()
                time.sleep(ASLEEP_S)
                part.resume()
                self.done["stopped past its lease"] += 1
            else:
                part.restart()
                self.done["killed"] += 1
            if jumps and gone > seconds * (len(JUMPS) - len(jumps) + 1) / (len(JUMPS) + 1):
                by = jumps.pop(0)
                set_clock(by=by)
                self.done[f"clock moved by {by}"] += 1
            turn += 1

    def drain(self) -> datetime:
        """Stop the clock, let what has come be served; the time at which it stands."""
        for part in self.parts:
            if not part.is_alive:
                part.start()
        end = set_clock(by=DAY, pace=0)  # past what a clock that was set back has seen already
        wait_for(lambda: self._is_drained(end), within=DRAIN_S)
        return end

    def _is_drained(self, end: datetime) -> bool:
        with self.database.reading() as connection:
            upcoming = next_due(connection)
        return upcoming is None or upcoming > end

    def fates(self) -> dict[str, int]:
        """How many occurrences had which fate."""
        query = select(occurrences.c.fate, func.count()).group_by(occurrences.c.fate)
        with self.database.reading() as connection:
            return {str(fate): count for fate, count in connection.execute(query).all()}

    def close(self) -> None:
        """End all of it."""
        for part in self.parts:
            part.kill()
        self.database.close()


def endure(
    calendar: Calendar, seed: int, *, schedules: int, pace: float, seconds: float, every_s: float
) -> list[str]:
    """Let time fly and coordinators die; what is wrong afterwards."""
    set_clock(moment=BEGIN, pace=0)
    drawn = draw(calendar.database, seed, schedules, BEGIN)
    set_clock(pace=pace)
    for part in calendar.parts:
        part.start()
    calendar.disturb(Random(seed), seconds, every_s)  # noqa: S311  a die
    end = calendar.drain()
    expected = sum(len(calculate(item, BEGIN, end)) for item in drawn)
    _say(f"{expected} occurrences in {end - BEGIN}; fates: {calendar.fates()}")
    _say(", ".join(f"{count} x {what}" for what, count in calendar.done.items()))
    return complaints(calendar.database, drawn, BEGIN, end)


@contextmanager
def _database(kind: str, place: Path) -> Iterator[str]:
    if kind == "sqlite":
        yield f"sqlite:///{place}/fleetjobs.sqlite"
        return
    (place / "postgres").mkdir()
    with Postgres(place / "postgres") as server:
        yield server.url


@contextmanager
def _test_clock(place: Path) -> Iterator[None]:
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = str(place)
    try:
        yield
    finally:
        del os.environ[VARIABLE]
        if before is not None:
            os.environ[VARIABLE] = before


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.calendar")
    parser.add_argument("--minutes", type=float, default=10.0, help="(%(default)g)")
    parser.add_argument("--schedules", type=int, default=200, help="(%(default)s)")
    parser.add_argument("--pace", type=float, default=1000.0, help="(%(default)g)")
    parser.add_argument("--every", type=float, default=3.0, help="seconds between kills")
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--seed", type=int, help="(any)")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Endure; the exit status."""
    options = make_parser().parse_args(arguments)
    seed = options.seed if options.seed is not None else secrets.randbelow(10**6)
    _say(f"seed {seed} on {options.database} …")
    with tempfile.TemporaryDirectory(prefix="fleetjobs-calendar-") as directory:
        place = Path(directory)
        (place / "redis").mkdir()
        with (
            _test_clock(place / "clock"),
            Redis(place / "redis") as redis,
            _database(options.database, place) as url,
            closing(Calendar(place, url, redis.url)) as calendar,
        ):
            wrong = endure(
                calendar,
                seed,
                schedules=options.schedules,
                pace=options.pace,
                seconds=options.minutes * 60,
                every_s=options.every,
            )
            _say(f"{len(wrong)} complaints")
            for line in wrong[:20]:
                _say(line)
    return 1 if wrong else 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
