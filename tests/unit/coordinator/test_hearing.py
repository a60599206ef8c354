"""Hearing: whoever was silent while we could not hear is not lost."""

from datetime import timedelta

import pytest

from fleetjobs.coordinator.hearing import Hearing
from tests.makers import NOW, Clock

MINUTE = timedelta(minutes=1)


class Ticks:
    """Seconds that go on."""

    now = 100.0

    def __call__(self) -> float:
        """How many there were."""
        return self.now

    def forward(self, by: timedelta) -> None:
        """Let time pass."""
        self.now += by.total_seconds()


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture
def hearing(clock: Clock, ticks: Ticks) -> Hearing:
    return Hearing(clock, ticks)


def test_it_hears_since_messages_came_through(hearing: Hearing, clock: Clock, ticks: Ticks) -> None:
    assert hearing.since is None

    hearing.begin()
    clock.forward(MINUTE)
    ticks.forward(MINUTE)
    hearing.begin()

    assert hearing.since == NOW


def test_after_an_outage_it_hears_anew(hearing: Hearing, clock: Clock, ticks: Ticks) -> None:
    hearing.begin()
    hearing.end()
    assert hearing.since is None

    clock.forward(MINUTE)
    ticks.forward(MINUTE)
    hearing.begin()

    assert hearing.since == NOW + MINUTE


@pytest.mark.spec("F11")
@pytest.mark.parametrize("by", [timedelta(hours=1), timedelta(days=-1)])
def test_when_the_clock_was_set_it_hears_anew(
    hearing: Hearing, clock: Clock, by: timedelta
) -> None:
    """Else all nodes would have been silent for as long as the clock has skipped."""
    hearing.begin()

    clock.forward(by)

    assert hearing.since == NOW + by
