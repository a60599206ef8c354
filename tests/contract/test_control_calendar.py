"""A calendar kept by two coordinators that crash, sleep and have wrong clocks; on both databases.

`python -m tests.faults.calendar` does the same with real processes, for minutes.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from fleetjobs.coordinator import scheduler as schedulers
from fleetjobs.coordinator.scheduler import Scheduler
from fleetjobs.documents import encode
from fleetjobs.store.database import Database
from tests.calendars import calculate, complaints, draw
from tests.desk import KEY
from tests.makers import Clock

SPRING = datetime(
    2026, 3, 27, 9, 17, tzinfo=UTC
)  # Europe forward on 29 March, Sydney back a week later
AUTUMN = datetime(
    2026, 10, 23, 9, 17, tzinfo=UTC
)  # Europe back on 25 October, New York a week later
DAYS = 9
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
JUMPS = (HOUR, -HOUR, DAY, -DAY)


class Killed(BaseException):
    """As if by SIGKILL."""


@dataclass
class Hazard:
    """Kills at crash points, as often as the dice say."""

    dice: Random
    deaths: dict[str, int] = field(default_factory=dict)
    share: float = 0.15

    def __call__(self, name: str) -> None:
        if self.dice.random() < self.share:
            self.deaths[name] = self.deaths.get(name, 0) + 1
            raise Killed


@pytest.fixture
def empty(database_url: str) -> Iterator[Database]:
    """A database with all tables and nothing in them."""
    opened = Database.open(database_url)
    opened.migrate()
    yield opened
    opened.close()


def coordinate(database: Database, now: datetime) -> int:
    """What a coordinator does at that time, until nothing is due or it is killed; how many."""
    scheduler = Scheduler(database, lambda: now, lambda request: KEY.seal(encode(request)))
    served = 0
    try:
        while number := scheduler.step():
            served += number
    except Killed:
        pass
    return served


@pytest.mark.spec("I6", "F7", "F11")
@pytest.mark.parametrize("begin", [SPRING, AUTUMN], ids=["spring", "autumn"])
def test_each_occurrence_has_one_fate_whatever_befalls_two_coordinators_and_their_clocks(
    empty: Database, begin: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They die at every step, act on a time that is long past, and the clock jumps both ways."""
    dice, clock = Random(begin.month), Clock(begin)  # noqa: S311  a test's
    drawn = draw(empty, begin.month, 12, begin)
    hazard = Hazard(dice)
    monkeypatch.setattr(schedulers, "crash_point", hazard)
    jumps = [*JUMPS, *JUMPS]
    dice.shuffle(jumps)

    with ThreadPoolExecutor(2) as both:
        while clock.now < begin + DAYS * DAY:
            clock.forward(timedelta(minutes=dice.randint(1, 540)))
            if jumps and dice.random() < 0.3:
                clock.forward(jumps.pop())
            late = clock.now - dice.choice([timedelta(), timedelta(), HOUR, DAY])
            list(both.map(lambda now: coordinate(empty, now), [clock.now, late]))
    hazard.share = 0
    end = clock.forward(DAY)
    coordinate(empty, end)

    assert jumps == []
    assert set(hazard.deaths) == {"scheduler_before_commit", "scheduler_after_commit"}
    assert sum(len(calculate(item, begin, end)) for item in drawn) > 200
    assert complaints(empty, drawn, begin, end) == []
