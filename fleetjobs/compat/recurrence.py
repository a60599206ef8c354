"""Recurrence: the arguments of rrule, as periodic tasks take them, as rules of schedules."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from fleetjobs.compat.tasks import ConfigError

_FREQUENCIES = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY")
_HOURLY, _MINUTELY = _FREQUENCIES.index("HOURLY"), _FREQUENCIES.index("MINUTELY")
_LISTS = {
    "bysetpos": "BYSETPOS",
    "bymonth": "BYMONTH",
    "bymonthday": "BYMONTHDAY",
    "byyearday": "BYYEARDAY",
    "byweekno": "BYWEEKNO",
    "byhour": "BYHOUR",
    "byminute": "BYMINUTE",
    "byweekday": "BYDAY",
}
_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


def read_rule(
    frequency: int, given: Mapping[str, Any], at: datetime
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What rrule's arguments say, as a schedule's rule and bounds. Raises ConfigError naming it."""
    if frequency not in range(len(_FREQUENCIES)):
        raise ConfigError(f"frequency {frequency!r} is none of {', '.join(_FREQUENCIES)}")
    parts = [f"FREQ={_FREQUENCIES[frequency]}"]
    begin, bounds = _utc(given.get("dtstart") or at), {}
    for name, value in given.items():
        match name:
            case _ if value is None:
                continue
            case "dtstart":
                pass
            case "bysecond":
                parts += _times_of(frequency, given, begin)
                minutes = int(given.get("interval") or 1) if frequency == _MINUTELY else 1
                begin = _at_second(begin, value, minutes)
            case "interval" | "count":
                parts.append(f"{name.upper()}={int(value)}")
            case "until":
                parts.append(f"UNTIL={_utc(value):%Y%m%dT%H%M%SZ}")
            case "wkst":
                parts.append(f"WKST={_day(value)}")
            case _ if name in _LISTS:
                parts.append(f"{_LISTS[name]}={','.join(map(_day_of(name), _several(value)))}")
            case _:
                raise ConfigError(f"{name}: no schedule knows that")
    bounds["active_from"] = utc_text(begin)
    return {"rrule": ";".join(parts)}, bounds


def _times_of(frequency: int, given: Mapping[str, Any], begin: datetime) -> list[str]:
    """The hour and minute that the beginning says, written down before it moves. RFC 5545."""
    hour = [f"BYHOUR={begin.hour}"] if frequency < _HOURLY and given.get("byhour") is None else []
    minute = [f"BYMINUTE={begin.minute}"] if given.get("byminute") is None else []
    return [*hour, *minute] if frequency < _MINUTELY else []


def _at_second(begin: datetime, value: Any, minutes: int) -> datetime:
    """The first moment with that second: rules here have none, and take their beginning's.

    So many minutes later if it has begun already.
    """
    seconds = _several(value)
    if len(seconds) != 1 or seconds[0] not in range(60):
        raise ConfigError(f"bysecond={value!r}: give one second, 0 to 59")
    there = begin.replace(second=seconds[0], microsecond=0)
    return there if there >= begin else there + timedelta(minutes=minutes)


def _several(value: Any) -> list[Any]:
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]


def _day_of(name: str) -> Any:
    return _day if name == "byweekday" else lambda value: str(int(value))


def _day(value: Any) -> str:
    """A weekday as rrule has it: 0 to 6, or such as FR(-1)."""
    number = getattr(value, "n", None)
    return f"{number or ''}{_DAYS[int(getattr(value, 'weekday', value))]}"


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def utc_text(moment: datetime) -> str:
    """The moment as the API reads it; one without a zone is taken for UTC."""
    return _utc(moment).isoformat()
