"""Times as people write them."""

from datetime import UTC, datetime, timedelta

import pytest

from fleetjobs.cli.words import ago, span
from fleetjobs.client.moments import read_duration, read_moment
from fleetjobs.errors import InvalidTime

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30", 30), ("30s", 30), ("1.5m", 90), ("2h", 7200), ("1d", 86400), (" 2 W ", 1209600)],
)
def test_durations_have_units(text: str, seconds: float) -> None:
    assert read_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "h", "5x", "-5s", "1e3", "99999999w", "٣s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(InvalidTime, match="30s"):
        read_duration(text)


def test_a_time_may_have_a_zone_or_be_local() -> None:
    assert read_moment("2026-12-01T04:00:00Z", NOW) == datetime(2026, 12, 1, 4, tzinfo=UTC)
    assert read_moment("2026-12-01 04:00+02:00", NOW) == datetime(2026, 12, 1, 2, tzinfo=UTC)
    local = read_moment("2026-12-01 04:00", NOW)
    assert local.astimezone().replace(tzinfo=None) == datetime(2026, 12, 1, 4)  # noqa: DTZ001


def test_a_time_may_be_counted_from_now() -> None:
    assert read_moment("+2h", NOW) == NOW + timedelta(hours=2)


@pytest.mark.parametrize("text", ["", "soon", "4:00", "+", "2026-13-01", "0001-01-01 00:00+14:00"])
def test_what_is_no_time_is_refused_with_how_to_write_one(text: str) -> None:
    with pytest.raises(InvalidTime, match="2026-12-01 04:00"):
        read_moment(text, NOW)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0123, "12 ms"),
        (1.25, "1.2 s"),
        (30, "30 s"),
        (60, "1 min"),
        (3725, "1 h 2 min"),
        (90061, "1 d 1 h"),
    ],
)
def test_spans_are_told_in_their_largest_units(seconds: float, text: str) -> None:
    assert span(timedelta(seconds=seconds)) == text


def test_how_long_ago_is_told_in_few_words() -> None:
    assert ago(None, NOW) == "never"
    assert ago("2026-11-21T11:59:58Z", NOW) == "just now"
    assert ago("2026-11-21T11:58:00Z", NOW) == "2 min ago"
    assert ago("2026-11-21T13:00:00Z", NOW) == "in 1 h"
