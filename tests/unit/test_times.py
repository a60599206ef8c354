"""Times as people say them."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetjobs.errors import InvalidTime
from fleetjobs.times import read_duration, read_time, say_time

PRAGUE = ZoneInfo("Europe/Prague")
NOW = datetime(2026, 11, 21, 4, 30, tzinfo=UTC)  # a Saturday; 05:30 in Prague


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", "2026-11-21 05:30"),
        ("04:00", "2026-11-22 04:00"),
        ("5:30", "2026-11-22 05:30"),
        ("05:31", "2026-11-21 05:31"),
        ("4am", "2026-11-22 04:00"),
        ("tomorrow 4am", "2026-11-22 04:00"),
        ("next monday 4am", "2026-11-23 04:00"),
        ("+2h", "2026-11-21 07:30"),
        ("90m", "2026-11-21 07:00"),
        ("in 90 minutes", "2026-11-21 07:00"),
        ("2026-12-01", "2026-12-01 00:00"),
        ("2026-12-01 04:00", "2026-12-01 04:00"),
        ("2026-12-01T04:00:00Z", "2026-12-01 05:00"),
        ("20261201T0400+0100", "2026-12-01 04:00"),
        ("tomorrow noon", "2026-11-22 12:00"),
        ("in an hour", "2026-11-21 06:30"),
        ("1 December 2026 04:00", "2026-12-01 04:00"),
        ("tomorrow 4:00 PM UTC", "2026-11-22 17:00"),
        ("2027-07-01 04:00", "2027-07-01 04:00"),
    ],
)
def test_times_are_read_as_people_mean_them(text: str, expected: str) -> None:
    moment = read_time(text, NOW, PRAGUE)

    assert f"{moment.astimezone(PRAGUE):%Y-%m-%d %H:%M}" == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("10/11/2026", "several ways"),
        ("10-11-2026 04:00", "several ways"),
        ("10.11.2026", "several ways"),
        ("11/12", "several ways"),
        ("20261201", "several ways"),
        ("30", "several ways"),
        ("3.5", "several ways"),
        ("soon", "tomorrow 4am"),
        ("tomorrow", "names no hour"),
        ("next monday", "names no hour"),
        ("4 oclocks", "tomorrow 4am"),
        ("", "tomorrow 4am"),
        ("x" * 1000, "tomorrow 4am"),
        ("25:00", "hour"),
        ("2026-13-01", "month"),
        ("0001-01-01", "calendar"),
        ("2 hours ago", "has passed"),
        ("today 04:00", "has passed"),
        ("2020-01-01 04:00", "has passed"),
        ("+9999d", "no duration"),
    ],
)
def test_what_is_unclear_or_past_is_refused_with_its_reason(text: str, why: str) -> None:
    with pytest.raises(InvalidTime, match=why):
        read_time(text, NOW, PRAGUE)


def test_an_hour_that_clocks_skip_does_not_exist() -> None:
    """On 28 March 2027 they go from 02:00 to 03:00."""
    with pytest.raises(InvalidTime, match="03:30:00 CEST"):
        read_time("2027-03-28 02:30", NOW, PRAGUE)


def test_of_an_hour_that_comes_twice_the_first_is_meant() -> None:
    """On 31 October 2027 they go from 03:00 back to 02:00."""
    moment = read_time("2027-10-31 02:30", NOW, PRAGUE)

    assert moment == datetime(2027, 10, 31, 0, 30, tzinfo=UTC)


def test_a_clock_time_is_the_next_also_on_the_day_that_skips_it() -> None:
    """At 10:00 on that day, 02:30 is tomorrow's."""
    moment = read_time("02:30", datetime(2027, 3, 28, 8, 0, tzinfo=UTC), PRAGUE)

    assert moment == datetime(2027, 3, 29, 0, 30, tzinfo=UTC)


def test_without_a_zone_the_machines_own_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its rules for summer: July is two hours ahead though it is November."""
    code = (
        "from datetime import *; from fleetjobs.times import *\n"
        "print(read_time('2027-07-01 04:00', datetime(2026, 11, 21, tzinfo=UTC)).isoformat())"
    )
    monkeypatch.setenv("TZ", "Europe/Prague")

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "2027-07-01T02:00:00+00:00"


def test_a_time_is_said_in_full() -> None:
    """With weekday, zone, and the day in UTC where it is another."""
    assert say_time(NOW, PRAGUE) == "Sat 2026-11-21 05:30:00 CET (04:30:00 UTC)"
    late = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)
    assert say_time(late, PRAGUE) == "Sat 2026-11-21 00:30:00 CET (2026-11-20 23:30:00 UTC)"


def test_a_moment_is_not_said_twice_where_clocks_show_utc() -> None:
    assert say_time(NOW, UTC) == "Sat 2026-11-21 04:30:00 UTC"


def test_dateparser_is_loaded_only_for_english() -> None:
    code = (
        "import sys; from datetime import *; from fleetjobs.times import *\n"
        "now = datetime.now(UTC)\n"
        "read_time('+2h', now), read_time('04:00', now), read_time('2030-01-01 04:00', now)\n"
        "print('dateparser' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"


def test_durations_have_units() -> None:
    assert read_duration("90") == timedelta(seconds=90)
    assert read_duration("1.5h") == timedelta(minutes=90)
    with pytest.raises(InvalidTime, match="5m"):
        read_duration("5x")


@given(st.text(max_size=30), st.datetimes(timezones=st.just(UTC), min_value=datetime(2000, 1, 1)))  # noqa: DTZ001  Hypothesis wants it naive
def test_whatever_is_typed_is_read_or_refused(text: str, now: datetime) -> None:
    """Never anything else, and what is read lies ahead."""
    if any(sign.isalpha() for sign in text):
        text = f"+{text}"  # English is dateparser's affair, and slow
    try:
        moment = read_time(text, now, PRAGUE)
    except InvalidTime:
        return

    assert moment >= now
