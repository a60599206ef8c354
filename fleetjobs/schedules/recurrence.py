"""Recurrence: the moments of a rule, counted out in UTC across summer time and leap days.

Rules of a clock run in their zone: a local time that a clock set forward leaves out becomes the
first instant after the gap, one that comes twice is the first of the two, each once. Rules of an
interval (`every_s`, a star in cron's hour, FREQ=HOURLY or MINUTELY) follow elapsed time.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from itertools import islice, pairwise
from math import floor
from typing import Any

from cronsim import CronSim, CronSimError
from dateutil.rrule import rrule, rrulestr

from fleetjobs.errors import InvalidSchedule
from fleetjobs.schedules.rules import (
    DAYWISE,
    LATEST,
    Rule,
    check_moment,
    check_parts,
    check_rule,
    cron_fields,
    rrule_parts,
    zone_of,
)

#: after 400 years the days have the same names again: 146,097 days are whole weeks
_AGE = timedelta(days=146_097)
_AGES = 19 * _AGE  #: from our days to the last ones that dateutil knows
_ELAPSED = frozenset({"MINUTELY", "HOURLY"})  #: frequencies that follow elapsed time
_GAPS = 20  #: between occurrences, with the shortest of which a jitter is compared
_LAST = LATEST.replace(tzinfo=None)
_GAP_STEP = timedelta(minutes=1)  #: offsets of zones change at whole minutes


def anchor_of(rule: Rule, begin: datetime) -> datetime:
    """Where a rule begins to count that holds from then on.

    Recurrence rules say no seconds: they begin with the next whole minute.
    """
    whole = begin.replace(second=0, microsecond=0)
    return begin if rule.rrule is None or whole == begin else whole + timedelta(minutes=1)


def check_recurs(rule: Rule, anchor: datetime) -> None:
    """Let a rule pass that can be read and comes true at least once. Raises InvalidSchedule."""
    check_rule(rule)
    check_moment("the beginning", anchor)
    if rule.rrule is not None:
        _check_comes(rule.rrule, anchor)
    if next(occurrences(rule, anchor, anchor - timedelta(seconds=1)), None) is None:
        raise InvalidSchedule(f"{rule} never comes true after {anchor:%Y-%m-%d %H:%M:%S} UTC")


def check_jitter(rule: Rule, anchor: datetime, jitter_s: float) -> None:
    """Let a jitter pass by which none starts after the one that follows. Raises InvalidSchedule."""
    found = preview(rule, anchor, anchor - timedelta(seconds=1), _GAPS + 1) if jitter_s else []
    shortest = min((later - one for one, later in pairwise(found)), default=None)
    if shortest is not None and jitter_s > shortest.total_seconds():
        raise InvalidSchedule(
            f"jitter_s: {jitter_s:g} is longer than the {shortest.total_seconds():g} seconds from"
            " one occurrence to the next"
        )


def preview(rule: Rule, anchor: datetime, after: datetime, count: int) -> list[datetime]:
    """The next so many moments; fewer if the rule ends."""
    return list(islice(occurrences(rule, anchor, after), count))


def occurrences(rule: Rule, anchor: datetime, after: datetime) -> Iterator[datetime]:
    """The rule's moments later than `after`, in UTC, each once and in order.

    `anchor`: where intervals and recurrence rules begin to count; a rule has no moment before it.
    It ends where the rule does. Raises InvalidSchedule.
    """
    first = max(after, anchor - timedelta(microseconds=1))
    if first >= LATEST:
        return iter(())
    return _later(_moments(rule, anchor, first), first)


def _moments(rule: Rule, anchor: datetime, after: datetime) -> Iterable[datetime]:
    if rule.every_s is not None:
        return _every(timedelta(seconds=rule.every_s), anchor, after)
    if rule.at:
        return sorted({moment.astimezone(UTC) for moment in rule.at})
    if rule.cron is not None:
        return _cron(rule.cron, zone_of(rule), after)
    if rule.rrule is not None:
        return _rrule(rule.rrule, zone_of(rule), anchor, after)
    raise InvalidSchedule("nothing says when")


def _later(moments: Iterable[datetime], after: datetime) -> Iterator[datetime]:
    """Those later than the one before: what falls into a gap may meet what follows it.

    Up to LATEST: behind it calendars soon end.
    """
    last = after
    for moment in moments:
        if moment >= LATEST:
            return
        if moment > last:
            yield moment
            last = moment


def _every(interval: timedelta, anchor: datetime, after: datetime) -> Iterator[datetime]:
    anchor = anchor.astimezone(UTC)
    number = max(0, floor((after - anchor) / interval))
    while True:
        yield anchor + number * interval
        number += 1


def _cron(text: str, zone: tzinfo, after: datetime) -> Iterator[datetime]:
    expression = cron_fields(text)
    elapsed = expression.split()[1].startswith("*")
    local = after.astimezone(zone)
    start = local if elapsed else local.replace(tzinfo=None)
    try:
        found = CronSim(expression, start)
    except CronSimError as error:
        wrong = str(error).removeprefix("Bad ")
        taken = _TAKEN.get(wrong, str(error))
        raise InvalidSchedule(f"cron: {text[:60]!r}: the {wrong} is wrong: {taken}") from None
    if elapsed:
        return (moment.astimezone(UTC) for moment in found)
    return (resolve(moment, zone) for moment in found)


#: what each field of cron takes, by the name that cronsim has for it
_TAKEN = {
    "minute": "it is 0 to 59, * or */5, 0-30, 0,15",
    "hour": "it is 0 to 23, * or */2, 8-17, 6,18",
    "day-of-month": "it is 1 to 31 and comes in the month, L is the last, LW the last working day",
    "month": "it is 1 to 12 or JAN to DEC",
    "day-of-week": "it is 0 to 7 or SUN to SAT, TUE#2 is the second Tuesday, FRIL the last Friday",
}


def resolve(local: datetime, zone: tzinfo) -> datetime:
    """The instant of a local time, in UTC: the first of two, or the end of the gap it is in."""
    moment = local.replace(tzinfo=zone, fold=0)
    while moment.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != local:
        local = local.replace(second=0, microsecond=0) + _GAP_STEP
        moment = local.replace(tzinfo=zone, fold=0)
    return moment.astimezone(UTC)


def _rrule(text: str, zone: tzinfo, anchor: datetime, after: datetime) -> Iterator[datetime]:
    parts = rrule_parts(text)
    filters = {name for name in parts if name.startswith("BY")} - {"BYMINUTE"}
    elapsed = parts["FREQ"] in _ELAPSED and not filters
    local = anchor.astimezone(zone)
    clock = timezone(local.utcoffset() or timedelta()) if elapsed else zone
    until = parts.pop("UNTIL", None)
    begin = local.replace(tzinfo=None, microsecond=0)
    since = after.astimezone(clock).replace(tzinfo=None)
    if "COUNT" not in parts:
        begin = _nearer(parts, begin, since - timedelta(days=1))  # a gap or fold is shorter
    end = _until(until, zone)
    since = max(since, begin - datetime.resolution)  # the beginning itself may be a moment
    for moment in _steps(parts, begin):
        if moment <= since:
            continue
        instant = resolve(moment, clock)
        if end is not None and instant > end:
            return
        yield instant


def _check_comes(text: str, anchor: datetime) -> None:
    """Let a rule pass that comes true on some day. Raises InvalidSchedule.

    Whatever it is a rule of, its days are those of the same rule of whole years, which are looked
    through faster; and of what it picks from a day there has to be as much.
    """
    parts = rrule_parts(text)
    check_parts(parts)
    days = {name: value for name, value in parts.items() if name in _OF_DAYS}
    if parts["FREQ"] in {"YEARLY", "MONTHLY", "WEEKLY"}:
        days["FREQ"] = parts["FREQ"]
    else:
        if not days.keys() - {"BYMONTH", "WKST"}:
            days["BYDAY"] = ",".join(_DAYS)
        days["FREQ"] = "YEARLY"
    begin = anchor.replace(tzinfo=None, microsecond=0)
    if next(_steps(days, begin), None) is None:
        raise InvalidSchedule(f"rrule: {text[:100]!r} never comes true")


_OF_DAYS = frozenset({"WKST", "BYEASTER", *(f"BY{name}" for name in DAYWISE)})


def _steps(parts: dict[str, str], begin: datetime) -> Iterator[datetime]:
    """The moments of the rule, in order. Raises InvalidSchedule.

    dateutil searches to the year 9999, which takes long from now on if there is none: it is asked
    for the same days near that end. Easter alone is another then.
    """
    ahead = timedelta() if "BYEASTER" in parts else _AGES
    moments = iter(_read(parts, begin + ahead))
    while True:
        try:
            moment = next(moments)
        except StopIteration:
            return
        except (ValueError, TypeError, IndexError) as error:
            raise _unread(parts, error) from None
        yield moment - ahead


def _read(parts: dict[str, str], begin: datetime) -> rrule:
    try:
        found: Any = rrulestr(_text(parts), dtstart=begin)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise _unread(parts, error) from None
    if not isinstance(found, rrule):
        raise InvalidSchedule(f"rrule: {_text(parts)[:100]!r} is more than one rule")
    return found


def _unread(parts: dict[str, str], error: Exception) -> InvalidSchedule:
    return InvalidSchedule(f"rrule: {_text(parts)[:100]!r} cannot be read: {error}")


def _text(parts: dict[str, str]) -> str:
    return ";".join(f"{name}={value}" for name, value in parts.items())


def _until(text: str | None, zone: tzinfo) -> datetime | None:
    """The end of a rule; local unless it is marked as UTC. A date alone is its last moment."""
    if text is None:
        return None
    for form in ("%Y%m%dT%H%M%SZ", "%Y%m%dT%H%M%S", "%Y%m%d"):
        try:
            read = datetime.strptime(text, form)  # noqa: DTZ007  its zone is given below
        except ValueError:
            continue
        if form.endswith("Z") and read < _LAST:
            return read.replace(tzinfo=UTC)
        if read >= _LAST:
            return None  # such a year is how many say: for ever
        day = timedelta(days=1) - timedelta(seconds=1) if form == "%Y%m%d" else timedelta()
        return resolve(read + day, zone)
    raise InvalidSchedule(f"rrule: UNTIL={text[:30]} is no time such as 20271231T235959Z")


_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_UNITS = {
    "MINUTELY": timedelta(minutes=1),
    "HOURLY": timedelta(hours=1),
    "DAILY": timedelta(days=1),
    "WEEKLY": timedelta(weeks=1),
}


def _nearer(parts: dict[str, str], begin: datetime, since: datetime) -> datetime:
    """A later beginning of the same rule: dateutil walks all the way from where it begins.

    Moved by whole intervals, so that every second Tuesday stays the second one. Parts that the
    beginning says by itself (RFC 5545, 3.3.10) are written down before it moves.
    """
    if since <= begin:
        return begin
    interval = int(parts.get("INTERVAL", "1"))
    unit = _UNITS.get(parts["FREQ"])
    if unit is not None:
        if parts["FREQ"] == "WEEKLY":
            parts.setdefault("BYDAY", _DAYS[begin.weekday()])
        number = (since - begin) // (unit * interval)
        if "BYSETPOS" in parts:  # counts in the week it begins in from its beginning only
            number = max(0, number - 1)
        return begin + number * unit * interval
    implied = not {"BYMONTHDAY", "BYDAY", "BYYEARDAY", "BYWEEKNO", "BYEASTER"} & parts.keys()
    if implied:
        parts["BYMONTHDAY"] = str(begin.day)
    if parts["FREQ"] == "MONTHLY":
        months = (since.year - begin.year) * 12 + since.month - begin.month
        months = begin.year * 12 + begin.month - 1 + max(0, months) // interval * interval
        return begin.replace(year=months // 12, month=months % 12 + 1, day=1)
    if implied:
        parts.setdefault("BYMONTH", str(begin.month))
    years = (since.year - begin.year) // interval * interval
    return begin.replace(year=begin.year + years, month=1, day=1)
