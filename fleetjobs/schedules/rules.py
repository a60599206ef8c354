"""Rules: when something recurs, as it is handed in; what `recurrence` can count out."""

import re
from datetime import UTC, datetime
from difflib import get_close_matches
from math import prod
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from msgspec import Meta, Struct

from fleetjobs.documents import Moment
from fleetjobs.errors import InvalidSchedule

UTC_NAME = "UTC"
SHORTEST_S = 1.0  #: between two occurrences
TIMES_MOST = 10_000  #: of a list of times, or of a rule that counts
INTERVAL_MOST = 10_000  #: of a recurrence rule
#: the moments that schedules and windows may name; what clocks show near the ends is no date
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
FIELDS = "minute, hour, day of month, month, day of week"


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """When something recurs: exactly one of the first four says it."""

    every_s: (
        Annotated[float, Meta(ge=SHORTEST_S, le=3660 * 86400, description="seconds")] | None
    ) = None
    cron: Annotated[
        str, Meta(max_length=200, description="five fields, or @daily and its like")
    ] | (None) = None
    rrule: Annotated[str, Meta(max_length=1000, description="RFC 5545, section 3.3.10")] | None = (
        None
    )
    at: Annotated[tuple[Moment, ...], Meta(max_length=TIMES_MOST)] = ()
    zone: Annotated[str, Meta(max_length=64, description="IANA, such as Europe/Prague")] = UTC_NAME

    def __str__(self) -> str:
        if self.every_s is not None:
            return f"every {_in_units(self.every_s)}"
        if self.at:
            return f"at {len(self.at)} times"
        return f"{self.cron or self.rrule} {self.zone}"


def _in_units(seconds: float) -> str:
    """As it is typed: 10m, 36h, 1d."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"


def check_rule(rule: Rule) -> None:
    """Let a rule pass that says one thing in a zone there is. Raises InvalidSchedule.

    Whether it ever comes true is for `recurrence.check_recurs`.
    """
    said = [
        name
        for name, value in (
            ("every_s", rule.every_s is not None),
            ("cron", rule.cron is not None),
            ("rrule", rule.rrule is not None),
            ("at", bool(rule.at)),
        )
        if value
    ]
    if len(said) != 1:
        what = f"{' and '.join(said)} exclude each other" if said else "nothing says when"
        raise InvalidSchedule(f"{what}; give one of every_s, cron, rrule, at")
    zone_of(rule)
    for moment in rule.at:
        check_moment("at", moment)


def check_moment(name: str, moment: datetime | None) -> None:
    """Let a moment pass that schedules can be about; None is none. Raises InvalidSchedule."""
    if moment is not None and not EARLIEST <= moment < LATEST:
        raise InvalidSchedule(
            f"{name}: {moment} is not between {EARLIEST:%Y} and {LATEST:%Y}; leave it out if none"
            " is meant"
        )


def zone_of(rule: Rule) -> ZoneInfo:
    """The rule's zone. Raises InvalidSchedule."""
    try:
        return ZoneInfo(rule.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        close = get_close_matches(rule.zone, available_timezones(), n=1)
        hint = f"did you mean {close[0]}?" if close else "it is written like Europe/Prague"
        raise InvalidSchedule(
            f"{rule.zone[:64]!r} is no time zone of the IANA list; {hint}"
        ) from None


def cron_fields(text: str) -> str:
    """A cron expression of five fields. Raises InvalidSchedule for any other number."""
    expression = ALIASES.get(text.strip().lower(), text.strip())
    count = len(expression.split())
    if expression.startswith("@"):
        raise InvalidSchedule(f"cron: {expression[:20]!r} is none of {', '.join(ALIASES)}")
    if count != 5:  # noqa: PLR2004  as FIELDS names them
        raise InvalidSchedule(f"cron: {text[:60]!r} has {count} fields, not five: {FIELDS}")
    return expression


_PART = re.compile(r"\A([A-Z]+)=(.+)\Z")
DAYWISE = ("MONTH", "MONTHDAY", "YEARDAY", "WEEKNO", "DAY")  #: after BY: which days
_BY = (*DAYWISE, "HOUR", "MINUTE", "SETPOS", "EASTER")
_KNOWN = frozenset({"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", *(f"BY{name}" for name in _BY)})
_FREQUENCIES = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY")


def rrule_parts(text: str) -> dict[str, str]:
    """The parts of a recurrence rule, upper case. Raises InvalidSchedule naming the wrong one."""
    parts: dict[str, str] = {}
    body = text.strip().upper().removeprefix("RRULE:")
    for word in body.split(";"):
        found = _PART.match(word.strip())
        if found is None or found[1] not in _KNOWN or found[1] in parts:
            raise InvalidSchedule(f"rrule: {word[:40]!r} is no part of a rule, or is there twice")
        parts[found[1]] = found[2]
    if parts.get("FREQ") not in _FREQUENCIES:
        raise InvalidSchedule(
            f"rrule: FREQ is {parts.get('FREQ', 'missing')}; it is one of {', '.join(_FREQUENCIES)}"
        )
    if "COUNT" in parts and "UNTIL" in parts:
        raise InvalidSchedule("rrule: COUNT and UNTIL exclude each other")
    for name, most in (("COUNT", TIMES_MOST), ("INTERVAL", INTERVAL_MOST)):
        text = parts.get(name, "1")
        if not re.fullmatch("[0-9]{1,9}", text) or not 0 < int(text) <= most:
            raise InvalidSchedule(f"rrule: {name} is {text[:20]}; it is 1 to {most}")
    return parts


#: the numbers that the parts take; `-`: counted from the end, too
_NUMBERS = {
    "BYMONTH": (1, 12, ""),
    "BYMONTHDAY": (1, 31, "-"),
    "BYYEARDAY": (1, 366, "-"),
    "BYWEEKNO": (1, 53, "-"),
    "BYHOUR": (0, 23, ""),
    "BYMINUTE": (0, 59, ""),
    "BYSETPOS": (1, 366, "-"),
}
_DAY = re.compile(r"\A([+-]?[0-9]{1,2})?(MO|TU|WE|TH|FR|SA|SU)\Z")
_NUMBER = re.compile(r"\A[+-]?[0-9]{1,9}\Z")


def check_parts(parts: dict[str, str]) -> None:
    """Let parts pass that can be meant. Raises InvalidSchedule naming the wrong one.

    dateutil takes some numbers for others, breaks off at some when their day comes, and searches
    all days there will be for the second one of a single moment.
    """
    for name, (least, most, sign) in _NUMBERS.items():
        for text in parts[name].split(",") if name in parts else ():
            number = int(text) if _NUMBER.match(text) else None
            size = number if number is None or not sign else abs(number)
            if size is None or not least <= size <= most:
                back = f", or -{most} to -{least}" if sign else ""
                raise InvalidSchedule(f"rrule: {name}={text[:20]}: it is {least} to {most}{back}")
    for text in parts["BYDAY"].split(",") if "BYDAY" in parts else ():
        _check_day(text, parts["FREQ"])
    within = {"DAILY": ("BYHOUR", "BYMINUTE"), "HOURLY": ("BYMINUTE",), "MINUTELY": ()}
    if "BYSETPOS" in parts and parts["FREQ"] in within:
        sizes = [
            len(set(parts[name].split(","))) for name in within[parts["FREQ"]] if name in parts
        ]
        if all(abs(int(place)) > prod(sizes) for place in parts["BYSETPOS"].split(",")):
            raise InvalidSchedule(
                f"rrule: BYSETPOS={parts['BYSETPOS'][:20]} never comes true: a {parts['FREQ']} rule"
                f" has {prod(sizes)} to pick from"
            )


def _check_day(text: str, frequency: str) -> None:
    found = _DAY.match(text)
    most = {"YEARLY": 53, "MONTHLY": 5}.get(frequency, 0)
    if found is None or (found[1] and not most):
        some = ", or 2TU of a rule that is MONTHLY or YEARLY"
        raise InvalidSchedule(f"rrule: BYDAY={text[:20]}: it is MO to SU{some}")
    if found[1] and not 1 <= abs(int(found[1])) <= most:
        raise InvalidSchedule(f"rrule: BYDAY={text[:20]}: there are {most} at most")
