"""Windows: when starting is allowed, against a walk minute by minute."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from fleetjobs.errors import InvalidSchedule
from fleetjobs.schedules.rules import Rule
from fleetjobs.schedules.windows import (
    Opening,
    Verdict,
    Window,
    WindowKind,
    check_window,
    is_open,
    judge_windows,
)

BEGIN = datetime(2026, 10, 23, tzinfo=UTC)
HOUR = 3600.0


def window(
    name: str, kind: WindowKind, *openings: tuple[str, float], zone: str = "Europe/Prague"
) -> Window:
    return Window(
        name=name,
        kind=kind,
        openings=tuple(
            Opening(rule=Rule(cron=cron, zone=zone), lasts_s=lasts_s) for cron, lasts_s in openings
        ),
    )


NIGHTS = window("nights", WindowKind.ALLOWED, ("0 1 * * *", 4 * HOUR))
MONTH_END = window("month-end", WindowKind.BLACKOUT, ("0 0 L * *", 24 * HOUR))


def test_without_windows_all_is_open() -> None:
    assert judge_windows([], BEGIN) == Verdict(is_open=True)


def test_outside_of_every_allowed_window_it_waits_for_the_next() -> None:
    """One in the morning in Prague is 23:00 UTC in summer."""
    noon = BEGIN.replace(hour=12)

    assert judge_windows([NIGHTS], noon) == Verdict(is_open=False, opens_at=BEGIN.replace(hour=23))
    assert judge_windows([NIGHTS], BEGIN.replace(hour=2, minute=59)).is_open
    assert not judge_windows([NIGHTS], BEGIN.replace(hour=3)).is_open


def test_a_blackout_beats_what_is_allowed_and_is_named() -> None:
    last_night = datetime(2026, 10, 31, 2, tzinfo=UTC)  # 03:00 in Prague, by winter time

    found = judge_windows([NIGHTS, MONTH_END], last_night)

    assert (found.is_open, found.because) == (False, "month-end")
    assert found.opens_at == datetime(2026, 11, 1, 0, tzinfo=UTC)


def test_a_window_is_as_long_as_it_says_when_the_clock_changes() -> None:
    autumn = datetime(2026, 10, 24, 23, tzinfo=UTC)  # 01:00 in Prague; at 03:00 it is 02:00 again

    assert judge_windows([NIGHTS], autumn + timedelta(hours=3, minutes=59)).is_open
    assert not judge_windows([NIGHTS], autumn + timedelta(hours=4)).is_open


def test_what_never_opens_says_so() -> None:
    always = window("freeze", WindowKind.BLACKOUT, ("0 * * * *", HOUR))

    assert judge_windows([always], BEGIN) == Verdict(is_open=False, because="freeze")


def test_a_window_that_never_comes_true_is_refused_by_name() -> None:
    with pytest.raises(InvalidSchedule, match="window w: cron"):
        check_window(window("w", WindowKind.ALLOWED, ("0 0 31 2 *", HOUR)))


@pytest.mark.parametrize("seed", range(20))
def test_random_windows_open_when_a_walk_finds_them_open(seed: int) -> None:
    """Half-hour steps over three days; the walk knows nothing of periods, only of covered steps."""
    chance = random.Random(seed)  # noqa: S311  a test's
    windows = [
        window(
            f"w{number}",
            chance.choice(list(WindowKind)),
            (
                f"{chance.choice([0, 30])} {chance.randint(0, 23)} * * *",
                chance.choice([0.5, 1, 3, 8, 20]) * HOUR,
            ),
            zone=chance.choice(["UTC", "Asia/Kolkata", "America/New_York"]),
        )
        for number in range(chance.randint(1, 4))
    ]
    steps = [BEGIN + timedelta(minutes=30 * number) for number in range(3 * 48)]
    opened = [is_open(windows, step) for step in steps]

    for number, step in list(enumerate(steps))[:96:5]:
        verdict = judge_windows(windows, step)
        following = next(
            (s for s, o in zip(steps[number:], opened[number:], strict=True) if o), None
        )
        assert (step if verdict.is_open else verdict.opens_at) == following or (
            following is None and (verdict.opens_at is None or verdict.opens_at > steps[-1])
        )
