"""Schedules: what a hundred or a hundred thousand cost when nothing is due, and when much is.

    python -m benchmarks.schedules [--databases sqlite postgres] [--schedules 100 10000 100000]
                                   [--due 1000] [--rounds 3] [--idle 20]

A real coordinator on a Redis; its nodes are names that nobody answers for. Idle: questions that it
asks of the database and CPU, by second. Due: seconds from the moment at which all of them come
until the last of their jobs is in the database. Preview: `fj schedule preview`, whole processes.
"""

import argparse
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import psutil
from sqlalchemy import Engine, event, func, insert, select, update
from uuid_utils.compat import uuid7

from benchmarks.cli_start import _fj, timed
from benchmarks.desk import Desk, compiled
from fleetjobs.access import Role
from fleetjobs.programs.coordinator import coordinate
from fleetjobs.programs.settings import CoordinatorSettings
from fleetjobs.schedules.documents import Call, Overlap, Schedule, Work
from fleetjobs.schedules.rules import Rule
from fleetjobs.signing import COORDINATOR, SERVER, SigningKey
from fleetjobs.store.access import Account, create_account
from fleetjobs.store.bells import SCHEDULES
from fleetjobs.store.database import Database, ring
from fleetjobs.store.schedules import Entry, _row
from fleetjobs.store.schema.jobs import jobs
from fleetjobs.store.schema.schedules import schedules
from fleetjobs.targets import Target
from tests.makers import ORG, add_org, enroll
from tests.servers import Postgres, Redis

NODES = [f"node{number}" for number in range(20)]
DAY = timedelta(days=1)
SETTLE_S = 4.0  #: until a coordinator that has just started is quiet
WITHIN_S = 300
PREVIEWS = 15


def main() -> None:
    """Print a row for each database and number of schedules."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--coordinate", nargs=2, metavar=("DIRECTORY", "REDIS"))
    parser.add_argument("--databases", nargs="+", default=["sqlite", "postgres"])
    parser.add_argument("--schedules", nargs="+", type=int, default=[100, 10_000, 100_000])
    parser.add_argument("--due", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--idle", type=float, default=20.0, help="seconds")
    options = parser.parse_args()
    if options.coordinate:
        be_coordinator(*options.coordinate)
        return
    print(f"{'database':10}{'schedules':>10}{'questions/s':>13}{'CPU %':>8}{'due':>7}{'s':>8}")
    for kind in options.databases:
        with tempfile.TemporaryDirectory(prefix="fleetjobs-bench-") as directory:
            place = Path(directory)
            (place / "redis").mkdir()
            with Redis(place / "redis") as redis, _url(kind, place) as url:
                measure(kind, url, place, redis.url, options)
                preview(kind, redis.database(1), place, max(options.schedules))


@contextmanager
def _url(kind: str, place: Path) -> Iterator[str]:
    if kind == "sqlite":
        yield f"sqlite:///{place}/fleetjobs.sqlite"
    else:
        with Postgres(place) as server:
            yield server.url


def measure(kind: str, url: str, place: Path, redis: str, options: argparse.Namespace) -> None:
    """Add schedules, let the coordinator idle, then let some of them come at once."""
    SigningKey.generate(COORDINATOR).save(place / "coordinator.pem")
    SigningKey.generate(SERVER).save(place / "server.pem")
    (place / "url").write_text(url)
    with closing(Database.open(url)) as database:
        database.migrate()
        add_org(database)
        enroll(database, *NODES)
        with database.transaction() as connection:
            ann = Account(name="ann", org=ORG, role=Role.OPERATOR, verify_key=None)
            create_account(connection, ann, now=datetime.now(UTC))
        there = 0
        for number in sorted(options.schedules):
            fill(database, ORG, "ann", number - there)
            there = number
            with Coordinator(place, redis) as coordinator:
                questions, cpu = coordinator.idle(options.idle)
                due = min(options.due, number)  # none twice: its first job would still be alive
                rounds = min(options.rounds, number // due)
                taken = [come(database, due) for _ in range(rounds)]
            figures = f"{questions:13.2f}{cpu * 100:8.2f}{due:7}{statistics.median(taken):8.2f}"
            print(f"{kind:10}{number:10}{figures}", flush=True)


def fill(database: Database, org: str, owner: str, count: int, node: str | None = None) -> None:
    """So many more schedules, all of which come a day from now."""
    now = datetime.now(UTC)
    with database.transaction() as connection:
        for start in range(0, count, 5000):
            rows = [
                _row(make_entry(org, owner, now, node or NODES[number % len(NODES)]))
                for number in range(start, min(count, start + 5000))
            ]
            connection.execute(insert(schedules), rows)


def make_entry(org: str, owner: str, now: datetime, node: str) -> Entry:
    """Every day an echo on that node."""
    name = str(uuid7())
    call = Call(agent="demo", action="echo", data={"text": "hi"}, target=Target(identities=(node,)))
    rule = Rule(every_s=DAY.total_seconds())
    document = Schedule(
        label=f"s-{name}", work=Work(call=call), rule=rule, overlap=Overlap.QUEUE_ONE
    )
    return Entry(
        id=name,
        org=org,
        label=document.label,
        owner=owner,
        document=document,
        shown={},
        anchor=now,
        seen_at=now,
        next_at=now + DAY,
        created_at=now,
    )


def come(database: Database, due: int) -> float:
    """Seconds from when so many schedules come until each has its job."""
    moment = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=3)
    count = select(func.count()).select_from(jobs)
    with database.transaction() as connection:
        before = connection.execute(count).scalar_one()
        some = select(schedules.c.id).where(schedules.c.made == 0).limit(due)
        earlier = {"anchor": moment - DAY, "seen_at": moment - DAY / 2, "next_at": moment}
        change = update(schedules).where(schedules.c.id.in_(some.scalar_subquery()))
        connection.execute(change.values(earlier))
        ring(connection, SCHEDULES)
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        with database.reading() as connection:
            if connection.execute(count).scalar_one() == before + due:
                return (datetime.now(UTC) - moment).total_seconds()
        time.sleep(0.02)
    raise RuntimeError("not all came")


class Coordinator:
    """A coordinator that counts what it asks of its database."""

    def __init__(self, place: Path, redis: str) -> None:
        argv = [sys.executable, "-m", "benchmarks.schedules", "--coordinate", str(place), redis]
        with (place / "coordinator.log").open("ab") as log:
            self._process = subprocess.Popen(
                argv, stdout=subprocess.PIPE, stderr=log, env=compiled(), text=True
            )
        self._count()

    def idle(self, seconds: float) -> tuple[float, float]:
        """Questions a second and share of a core while nothing is due."""
        time.sleep(SETTLE_S)
        first = self._account()
        time.sleep(seconds)
        last = self._account()
        at, questions, cpu = (now - then for now, then in zip(last, first, strict=True))
        return questions / at, cpu / at

    def _account(self) -> tuple[float, int, float]:
        self._process.send_signal(signal.SIGUSR1)
        count = self._count()
        times = psutil.Process(self._process.pid).cpu_times()
        return time.monotonic(), count, times.user + times.system

    def _count(self) -> int:
        if self._process.stdout is None or not (line := self._process.stdout.readline()):
            raise RuntimeError("the coordinator ended")
        return int(line)

    def __enter__(self) -> Self:
        """It runs already."""
        return self

    def __exit__(self, *error: object) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(30)


def be_coordinator(directory: str, redis: str) -> None:
    """The coordinator's own process; SIGUSR1 has it say how many questions it has asked."""
    asked = 0

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        nonlocal asked
        asked += not statement.startswith("BEGIN")

    event.listen(Engine, "before_cursor_execute", note)
    signal.signal(signal.SIGUSR1, lambda *_: print(asked, flush=True))
    print(asked, flush=True)  # from now on it can be asked
    place = Path(directory)
    settings = CoordinatorSettings(
        broker=redis,
        database=(place / "url").read_text(),
        key=place / "coordinator.pem",
        server_key=place / "server.pem",
    )
    coordinate(settings)


def preview(kind: str, redis: str, place: Path, number: int) -> None:
    """Print how long `fj schedule preview` takes beside so many schedules."""
    with _database(kind, place) as address, Desk(redis, 1, address) as desk:
        with closing(Database.open(address or f"sqlite:///{desk.state}/fleetjobs.sqlite")) as store:
            fill(store, "default", "admin", number, node=desk.nodes[0])
            with store.reading() as connection:
                label = connection.execute(select(schedules.c.label).limit(1)).scalar_one()
        environment = compiled() | {"FLEETJOBS_CONFIG": str(desk.config)}
        words = [_fj(), "schedule", "preview", label, "-n", "5"]
        times = [timed(lambda: _run(words, environment)) for _ in range(PREVIEWS)]
    wall, cpu = (statistics.median(part) for part in zip(*times, strict=True))
    print(f"{kind:10}{number:10}  fj schedule preview: {wall:.0f} ms, of CPU {cpu:.0f} ms")


@contextmanager
def _database(kind: str, place: Path) -> Iterator[str | None]:
    """The address of a database of its own; None: the one that `fj up` brings along."""
    if kind == "sqlite":
        yield None
        return
    (place / "preview").mkdir()
    with Postgres(place / "preview") as server:
        yield server.url


def _run(argv: Sequence[str], environment: dict[str, str]) -> None:
    subprocess.run(argv, env=environment, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
