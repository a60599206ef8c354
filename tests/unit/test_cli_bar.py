"""The bar: how far a call has come, in replies and in what is at work."""

import io

import pytest

from fleetjobs.cli.bar import Bar
from fleetjobs.cli.screen import Screen
from fleetjobs.cli.words import headway, took_s

TERMINAL = Screen(file=io.StringIO(), is_terminal=True, has_colour=False, width=80)


@pytest.mark.parametrize(
    ("good", "bad", "percent", "text"),
    [
        (0, 0, None, "0/4 0 ok"),
        (2, 1, None, "3/4 2 ok · [red]1 failed[/]"),
        (1, 0, 62.9, "1/4 1 ok · 62 %"),
        (3, 0, 75.0, "3/4 3 ok"),
        (0, 0, 99.9, "0/4 0 ok · 99 %"),
    ],
)
def test_percent_are_told_where_they_say_more_than_the_replies(
    good: int, bad: int, percent: float | None, text: str
) -> None:
    bar = Bar(TERMINAL, 4)

    bar.advance(good, bad, percent)

    assert bar._text() == text


@pytest.mark.parametrize(
    ("told", "text"),
    [
        (None, ""),
        ({"percent": 40.2, "text": "unpacking"}, "40 % unpacking"),
        ({"percent": None, "text": "unpacking"}, "unpacking"),
        ({"percent": 0.0, "text": ""}, "0 %"),
    ],
)
def test_progress_in_words(told: dict[str, object] | None, text: str) -> None:
    assert headway(told) == text


@pytest.mark.parametrize(
    ("started", "ended", "seconds"),
    [
        ("2026-12-01T04:00:01Z", "2026-12-01T04:00:03.5Z", 2.5),
        (None, "2026-12-01T04:00:03Z", 3.0),
        ("2026-12-01T04:00:01Z", None, 0.0),
        ("2026-12-01T04:00:09Z", "2026-12-01T04:00:03Z", 0.0),  # by another clock
    ],
)
def test_an_ended_job_took_its_own_time_not_that_of_who_waits(
    started: str | None, ended: str | None, seconds: float
) -> None:
    created = "2026-12-01T04:00:00Z"

    assert took_s({"created_at": created, "started_at": started, "ended_at": ended}) == seconds
