"""Calendars: the openings of a window out of an iCalendar file (RFC 5545)."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any

from fleetjobs.errors import InvalidSchedule
from fleetjobs.schedules.rules import Rule
from fleetjobs.schedules.windows import Opening

EVENTS_MOST = 1000
_DAY = timedelta(days=1)


def read_calendar(raw: bytes) -> tuple[Opening, ...]:
    """One opening for each event that is not cancelled, and for each single date of its own.

    Of an event counts when it begins, how long it lasts (or when it ends), its RRULE, RDATEs and
    EXDATEs, and what RECURRENCE-ID moves. Times without a zone are UTC. Raises InvalidSchedule.
    """
    from icalendar import Calendar  # late: few need it

    try:
        calendars = Calendar.from_ical(raw, multiple=True)
        events = [event for calendar in calendars for event in calendar.walk("VEVENT")]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidSchedule(f"not an iCalendar file: {str(error)[:200]}") from None
    moved = [event for event in events if "RECURRENCE-ID" in event]
    openings = [
        opening
        for event in events
        if str(event.get("STATUS", "")).upper() != "CANCELLED"
        for opening in _openings(event, moved)
    ]
    if not openings:
        raise InvalidSchedule("the calendar has no events that take place")
    if len(openings) > EVENTS_MOST:
        raise InvalidSchedule(f"the calendar has {len(openings)} events; {EVENTS_MOST} are taken")
    return tuple(openings)


def _openings(event: Any, moved: list[Any]) -> Iterator[Opening]:
    name = str(event.get("SUMMARY") or event.get("UID") or "an event")
    _check_read(event, name)
    if "DTSTART" not in event:
        raise InvalidSchedule(f"{name[:80]!r} does not say when it begins")
    begin = event["DTSTART"].dt
    lasts_s = _lasts(event, begin, name).total_seconds()
    start = _moment(begin)
    without = {_moment(each) for each in _dates(event, "EXDATE")}
    if "RECURRENCE-ID" not in event:
        same = [other for other in moved if other.get("UID") == event.get("UID")]
        without |= {_moment(other["RECURRENCE-ID"].dt) for other in same}
    left_out = tuple(sorted(without))
    extra = tuple(sorted({_moment(each) for each in _dates(event, "RDATE")} - without))
    rules = event.get("RRULE", [])
    for rule in rules if isinstance(rules, list) else [rules]:
        text = rule.to_ical().decode()
        recurs = Rule(rrule=text, zone=_zone(begin, name))
        yield Opening(rule=recurs, lasts_s=lasts_s, anchor=start, without=left_out)
    single = extra if rules or start in without else tuple(sorted({start, *extra}))
    if single:
        yield Opening(rule=Rule(at=single), lasts_s=lasts_s)


_COUNT = ("DTSTART", "DTEND", "DURATION", "RRULE", "RDATE", "EXDATE", "RECURRENCE-ID")


def _check_read(event: Any, name: str) -> None:
    """Let an event pass whose times could be read, in zones that there are.

    What cannot be read is left out by the library, and an unknown zone is none. Raises
    InvalidSchedule.
    """
    for part, why in event.errors:
        if str(part).upper() in _COUNT:
            raise InvalidSchedule(f"{name[:80]!r}: {part} cannot be read: {str(why)[:200]}")
    for part in _COUNT:
        found = event.get(part, [])
        for each in found if isinstance(found, list) else [found]:
            _check_moments(each, f"{name[:80]!r}: {part}", only=part not in {"RDATE", "DURATION"})


def _check_moments(value: Any, where: str, *, only: bool) -> None:
    """Those of one part of an event; `only`: of nothing longer. Raises InvalidSchedule."""
    zone = getattr(value, "params", {}).get("TZID")
    for item in getattr(value, "dts", [value] if hasattr(value, "dt") else []):
        if only and not isinstance(item.dt, date):
            raise InvalidSchedule(f"{where} is no moment")
        if zone and getattr(item.dt, "tzinfo", UTC) is None:
            raise InvalidSchedule(f"{where}: {str(zone)[:64]!r} is no time zone")


def _lasts(event: Any, begin: date, name: str) -> timedelta:
    """Its length; RFC 5545, section 3.6.1: a date alone lasts a day."""
    if "DTEND" in event:
        lasts: timedelta = _moment(event["DTEND"].dt) - _moment(begin)
    elif "DURATION" in event:
        lasts = event["DURATION"].dt
    else:
        lasts = timedelta() if isinstance(begin, datetime) else _DAY
    if lasts <= timedelta() or lasts > 366 * _DAY:
        raise InvalidSchedule(f"{name[:80]!r} lasts {lasts}; that is no window")
    return lasts


def _dates(event: Any, name: str) -> Iterator[date]:
    found = event.get(name, [])
    for each in found if isinstance(found, list) else [found]:
        for item in each.dts:
            yield item.dt[0] if isinstance(item.dt, tuple) else item.dt


def _moment(when: date) -> datetime:
    """In UTC; a date alone is its midnight."""
    if not isinstance(when, datetime):
        return datetime.combine(when, time(), UTC)
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def _zone(when: date, name: str) -> str:
    """The zone in which it recurs. Raises InvalidSchedule if it is one of the file's own."""
    zone: tzinfo | None = when.tzinfo if isinstance(when, datetime) else None
    key = getattr(zone, "key", None) or getattr(zone, "zone", None)
    if key is None and zone is not None and zone is not UTC:
        raise InvalidSchedule(
            f"{name[:80]!r} recurs in a zone of its file's own; write one of the IANA list"
        )
    return str(key) if key else "UTC"
