"""Calendars: events become openings, at the times that other programs show for them."""

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest

from fleetjobs.control.calendars import read_calendar
from fleetjobs.errors import InvalidSchedule
from fleetjobs.schedules.windows import Window, WindowKind, check_window, periods

BEGIN = datetime(2026, 10, 20, tzinfo=UTC)


def calendar(*events: str) -> bytes:
    """A file with these events."""
    bodies = "".join(f"BEGIN:VEVENT\nUID:1\n{event}\nEND:VEVENT\n" for event in events)
    text = f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//x//\n{bodies}END:VCALENDAR\n"
    return text.replace("\n", "\r\n").encode()


def times(raw: bytes, count: int = 4) -> list[tuple[datetime, datetime]]:
    """The first of its times."""
    window = Window(name="w", kind=WindowKind.BLACKOUT, openings=read_calendar(raw))
    check_window(window)
    return [(found.start, found.end) for found in islice(periods(window, BEGIN), count)]


def test_an_event_recurs_in_its_own_zone_less_what_is_left_out() -> None:
    """Summer time ends on the 25th: 01:00 in Prague is another hour then."""
    raw = calendar(
        "DTSTART;TZID=Europe/Prague:20261022T010000\nDURATION:PT4H\n"
        "RRULE:FREQ=DAILY;COUNT=5\nEXDATE;TZID=Europe/Prague:20261024T010000"
    )

    found = times(raw, 10)

    assert [start.strftime("%d %H") for start, _ in found] == ["21 23", "22 23", "24 23", "26 00"]
    assert {end - start for start, end in found} == {timedelta(hours=4)}


def test_a_day_a_moved_event_and_one_more_date_are_taken() -> None:
    raw = calendar(
        "DTSTART;VALUE=DATE:20261101\nRRULE:FREQ=WEEKLY;COUNT=2",
        "RECURRENCE-ID;VALUE=DATE:20261108\nDTSTART;VALUE=DATE:20261109",
    )

    found = times(raw)

    assert [start.day for start, _ in found] == [1, 9]
    assert {end - start for start, end in found} == {timedelta(days=1)}
    raw = calendar(
        "DTSTART:20261101T100000Z\nDTEND:20261101T110000Z\nRDATE:20261105T100000Z",
        "DTSTART:20261102T100000Z\nDTEND:20261102T110000Z\nSTATUS:CANCELLED",
    )
    assert [start.day for start, _ in times(raw)] == [1, 5]


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "no events"),
        (b"nonsense", "not an iCalendar file"),
        (calendar(), "no events"),
        (calendar("SUMMARY:x\nDURATION:PT1H"), "when it begins"),
        (calendar("DTSTART:20261101T100000Z"), "no window"),
        (calendar("DTSTART:20261101T100000Z\nDTEND:20261101T090000Z"), "no window"),
        (calendar("DTSTART:20261101T100000Z\nDURATION:P400D"), "no window"),
        (calendar("DTSTART;VALUE=DATE:20260230"), "DTSTART cannot be read"),
        (calendar("DTSTART:20261101T100000Z/PT1H\nDURATION:PT1H"), "DTSTART"),
        (calendar("DTSTART:20261101T100000Z\nDURATION:PT1H\nRRULE:FREQ=X"), "RRULE cannot be read"),
        (
            calendar("DTSTART;TZID=Mars/Base:20261101T100000\nDURATION:PT1H"),
            "'Mars/Base' is no time",
        ),
    ],
)
def test_what_is_no_calendar_is_refused(raw: bytes, why: str) -> None:
    with pytest.raises(InvalidSchedule, match=why):
        read_calendar(raw)
