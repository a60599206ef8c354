"""Times as people say them: `04:00`, `tomorrow 4am`, `+2h`, or the whole of it in ISO 8601."""

import re
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Any

from fleetjobs.errors import InvalidTime

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
LONGEST = timedelta(days=3650)
LONGEST_TEXT = 100  #: characters; nobody needs more to say when
EXAMPLES = "'2026-12-01 04:00', 04:00, 'tomorrow 4am', +2h, 'in 90 minutes'"

_DURATION = r"\A([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*(s|m|h|d|w)?\Z"
_CLOCK = r"\A(\d{1,2}):(\d\d)(?::(\d\d))?\Z"
_ISO = r"\A\d{4}-\d\d-\d\d(?:[Tt ].+)?\Z|\A\d{8}[Tt]\d{4}.*\Z"
#: 10/11/2026 is October or November, depending on who reads it
_NUMERIC = r"\A[\d\s]+\Z|\d[/-]\d|\d\.\d+\.|\A\d+\.\d+\Z"

#: `tomorrow` names a day; an English time of day has a figure or one of these
_HOUR = r"\d|noon|midnight|hour|minute"


def read_duration(text: str) -> timedelta:
    """A duration such as 30, 30s, 5m, 2h or 1d. Raises InvalidTime."""
    found = re.match(_DURATION, text.strip().lower())
    duration = timedelta(seconds=float(found[1]) * UNITS[found[2] or "s"]) if found else None
    if duration is None or duration > LONGEST:
        raise InvalidTime(f"{text[:60]!r} is no duration; write 30s, 5m, 2h or 1d")
    return duration


def read_time(text: str, now: datetime, zone: tzinfo | None = None) -> datetime:
    """The moment that is meant, in UTC: never before `now`.

    What names no zone is in `zone`; None is the machine's own, with its rules for summer time.
    A clock time alone is the next one. Of an hour that comes twice in a night the first is meant.
    Raises InvalidTime: for what cannot be read or is past, for dates in figures that are read
    one way here and another way there, and for times that a clock set forward leaves out.
    """
    text = text.strip()
    if text.lower() == "now":
        return now.astimezone(UTC)
    if not text or len(text) > LONGEST_TEXT:
        raise InvalidTime(f"{text[:LONGEST_TEXT]!r} is no time; write {EXAMPLES}")
    moment = _after(text, now) or _clock(text, now, zone) or _date(text, now, zone)
    if moment < now:
        raise InvalidTime(f"{text!r} is {say_time(moment, zone)}, and that has passed")
    return moment


def say_time(moment: datetime, zone: tzinfo | None = None) -> str:
    """The moment in full, so that nothing is left to guess: in that zone, and in UTC."""
    here = moment.astimezone(zone)
    utc = moment.astimezone(UTC)
    said = f"{here:%a %Y-%m-%d %H:%M:%S} {here.tzname()}"
    if here.tzname() == utc.tzname():
        return said
    day = "" if utc.date() == here.date() else f"{utc:%Y-%m-%d} "
    return f"{said} ({day}{utc:%H:%M:%S} UTC)"


def _after(text: str, now: datetime) -> datetime | None:
    """`+2h`, `2h`: so long after now."""
    plain = text.removeprefix("+")
    if text[-1].isdecimal() or not re.match(_DURATION, plain.lower()):
        return None  # without a unit it may as well be a date
    return now.astimezone(UTC) + read_duration(plain)


def _clock(text: str, now: datetime, zone: tzinfo | None) -> datetime | None:
    """`04:00`: the next."""
    found = re.match(_CLOCK, text)
    if not found:
        return None
    try:
        hour, minute, second = (int(part) for part in found.groups(default="0"))
        clock = time(hour, minute, second)
    except ValueError as error:
        raise InvalidTime(f"{text!r} is no time: {error}") from None
    here = now.astimezone(zone).replace(tzinfo=None)
    day = here.date() if clock > here.time() else here.date() + timedelta(days=1)
    return _placed(datetime.combine(day, clock), zone, text)


def _date(text: str, now: datetime, zone: tzinfo | None) -> datetime:
    """ISO 8601, or English."""
    if re.match(_ISO, text):
        try:
            found = datetime.fromisoformat(text)
        except ValueError as error:
            raise InvalidTime(f"{text!r} is no time: {error}") from None
    elif re.search(_NUMERIC, text):
        raise InvalidTime(f"{text!r} can be read in several ways; write {EXAMPLES}")
    elif not re.search(_HOUR, text.lower()):
        raise InvalidTime(f"{text!r} names no hour; write {EXAMPLES}")
    else:
        found = _in_english(text, now.astimezone(zone).replace(tzinfo=None))
    try:
        return _placed(found, zone, text) if found.tzinfo is None else found.astimezone(UTC)
    except (OverflowError, OSError, ValueError):
        raise InvalidTime(f"{text!r} is no time that a calendar has") from None


def _in_english(text: str, now: datetime) -> datetime:
    import dateparser  # late: 170 ms, and most times need none of it

    settings: Any = {"PREFER_DATES_FROM": "future", "RELATIVE_BASE": now}
    found: datetime | None
    try:
        found = dateparser.parse(text, languages=["en"], settings=settings)
    except (ValueError, OverflowError):
        found = None
    if found is None:
        raise InvalidTime(f"{text!r} is no time; write {EXAMPLES}")
    return found


def _placed(local: datetime, zone: tzinfo | None, text: str) -> datetime:
    """What a clock on the wall calls so, in UTC."""
    moment = (local if zone is None else local.replace(tzinfo=zone)).astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) != local.replace(fold=0):
        raise InvalidTime(
            f"{text!r} does not exist: the clocks are set forward over it; "
            f"{say_time(moment, zone)} would be next"
        )
    return moment
