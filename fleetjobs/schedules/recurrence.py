"""Recurrence: the moments of a rule, counted out in UTC across summer time and leap days.

Rules of a clock run in their zone: a local time that a clock set forward leaves out becomes the
first instant after the gap, one that comes twice is the first of the two, each once. Rules of an
interval (`every_s`, a star in cron's hour, FREQ=HOURLY or MINUTELY) follow elapsed time.
"""

from calendar import isleap
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from itertools import islice, pairwise
from math import floor
from typing import Any

from cronsim import CronSim, CronSimError
from dateutil.rrule import rrule, rrulestr

from fleetjobs.errors import InvalidSchedule
from fleetjobs.schedules.rules import (
    LATEST,
    Rule,
    check_moment,
    check_rule,
    cron_fields,
    rrule_parts,
    zone_of,
)

#: where no occurrence is found so far ahead, there is none: 29 February comes every 8 years at most
LOOK_AHEAD = timedelta(days=366 * 9)
#: those go step by step through what their other parts leave out
_LOOK_AHEAD_OF = {"MINUTELY": timedelta(days=400), "HOURLY": timedelta(days=366 * 5)}
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
    It ends where the rule does, or where none comes for LOOK_AHEAD. Raises InvalidSchedule.
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
    elapsed = parts["FREQ"] in _LOOK_AHEAD_OF and not filters
    local = anchor.astimezone(zone)
    clock = timezone(local.utcoffset() or timedelta()) if elapsed else zone
    until = parts.pop("UNTIL", None)
    begin = local.replace(tzinfo=None, microsecond=0)
    since = after.astimezone(clock).replace(tzinfo=None)
    if "COUNT" not in parts:
        begin = _nearer(parts, begin, since - timedelta(days=1))  # a gap or fold is shorter
    end = _until(until, zone)
    since = max(since, begin - datetime.resolution)  # the beginning itself may be a moment
    if parts["FREQ"] in _LOOK_AHEAD_OF and not _has_days(parts, begin, since):
        return
    for moment in _steps(_read(parts, begin), parts["FREQ"], since):
        instant = resolve(moment, clock)
        if end is not None and instant > end:
            return
        yield instant


#: 28 years, in which each kind of year is; enough are behind them for any rule to come true
_LATE_YEARS = range(9962, 9990)


def _check_comes(text: str, anchor: datetime) -> None:
    """Let a rule pass that comes true on some day. Raises InvalidSchedule.

    dateutil searches to the year 9999, which takes long from now on; the days of the same rule are
    looked for in years near that end that have the same calendar.
    """
    parts = rrule_parts(text)
    days = {name: value for name, value in parts.items() if name not in _WITHIN_A_DAY}
    days.pop("UNTIL", None)
    years = {"FREQ": parts["FREQ"]} if parts["FREQ"] in {"YEARLY", "MONTHLY", "WEEKLY"} else {}
    begin = anchor.replace(tzinfo=None, microsecond=0)
    same = next(year for year in _LATE_YEARS if _is_same(year, begin.year))
    try:
        begin = begin.replace(year=same)
    except ValueError:  # 29 February of a year that ends a century
        return
    if next(iter(_read({"FREQ": "DAILY", **days, **years}, begin)), None) is None:
        raise InvalidSchedule(f"rrule: {text[:100]!r} never comes true")


def _is_same(year: int, other: int) -> bool:
    """Whether their days have the same names."""
    first, second = date(year, 1, 1), date(other, 1, 1)
    return first.weekday() == second.weekday() and isleap(year) == isleap(other)


_WITHIN_A_DAY = frozenset({"FREQ", "INTERVAL", "COUNT", "BYHOUR", "BYMINUTE", "BYSETPOS"})


def _has_days(parts: dict[str, str], begin: datetime, since: datetime) -> bool:
    """Whether a day comes on which it may happen: minute by minute that would take long to see."""
    days = {name: value for name, value in parts.items() if name not in _WITHIN_A_DAY}
    rule = _read({"FREQ": "DAILY", **days}, begin)
    return next(_steps(rule, "DAILY", since - timedelta(days=1)), None) is not None


def _read(parts: dict[str, str], begin: datetime) -> rrule:
    text = ";".join(f"{name}={value}" for name, value in parts.items())
    try:
        found: Any = rrulestr(text, dtstart=begin)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise InvalidSchedule(f"rrule: {text[:100]!r} cannot be read: {error}") from None
    if not isinstance(found, rrule):
        raise InvalidSchedule(f"rrule: {text[:100]!r} is more than one rule")
    return found


def _steps(rule: rrule, frequency: str, since: datetime) -> Iterator[datetime]:
    """The rule's moments, as long as one comes in sight; one that never does would search for ever.

    dateutil itself searches to the year 9999.
    """
    ahead = _LOOK_AHEAD_OF.get(frequency, LOOK_AHEAD)
    if frequency == "YEARLY":
        ahead *= max(1, rule._interval)  # type: ignore[attr-defined]  # noqa: SLF001  it has no name outside
    while True:
        horizon = _LAST if _LAST - since < ahead else since + ahead
        last = None
        for moment in rule.replace(until=horizon, count=None) if _is_open(rule) else rule:
            if moment > since:
                yield moment
                last = moment
        if last is None or not _is_open(rule):
            return
        since = last


def _is_open(rule: rrule) -> bool:
    return rule._count is None  # type: ignore[attr-defined]  # noqa: SLF001  it has no name outside


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
        return begin + (since - begin) // (unit * interval) * unit * interval
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
