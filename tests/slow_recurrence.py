"""Recurrence the slow, plain way: dateutil and zoneinfo, and rules drawn at random."""

import random
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr

ZONES = (
    *("UTC", "Europe/Prague", "Europe/London", "America/New_York", "America/Sao_Paulo"),
    *("Asia/Kathmandu", "Asia/Tokyo", "Australia/Lord_Howe", "Australia/Sydney"),
    *("Pacific/Apia", "Africa/Casablanca", "America/St_Johns"),
)


def slowly(local: datetime, zone: ZoneInfo) -> datetime:
    """The instant of a local time, found by trying all minutes around it."""
    around = local.replace(tzinfo=UTC) - timedelta(hours=15)
    for minutes in range(30 * 60):
        instant = around + timedelta(minutes=minutes)
        if instant.astimezone(zone).replace(tzinfo=None) >= local.replace(second=0):
            return instant.replace(second=0) + (
                timedelta(seconds=local.second)
                if instant.astimezone(zone).replace(tzinfo=None, second=0)
                == local.replace(second=0)
                else timedelta()
            )
    raise AssertionError(local)


def by_dateutil(text: str, zone: ZoneInfo, begin: datetime, end: datetime) -> list[datetime]:
    """A rule of a clock: dateutil in local time, each moment then looked up."""
    local = begin.astimezone(zone).replace(tzinfo=None)
    found = rrulestr(text, dtstart=local).between(
        local, end.astimezone(zone).replace(tzinfo=None), inc=True
    )
    instants = {_instant(moment, zone) for moment in found}
    return sorted(moment for moment in instants if begin <= moment < end)


def _instant(local: datetime, zone: ZoneInfo) -> datetime:
    """Plain where the offset is the same a day before and after; else slowly."""
    day = timedelta(days=1)
    offsets = {(local + step).replace(tzinfo=zone).utcoffset() for step in (-day, 0 * day, day)}
    if len(offsets) == 1:
        return local.replace(tzinfo=zone).astimezone(UTC)
    return slowly(local, zone)


def random_rrule(chance: random.Random) -> str:
    frequency = chance.choice(["YEARLY", "MONTHLY", "WEEKLY", "DAILY"])
    parts = [f"FREQ={frequency}"]
    if chance.random() < 0.6:
        parts.append(f"INTERVAL={chance.randint(1, 5)}")
    if chance.random() < 0.7:
        parts.append(f"BYHOUR={_some(chance, 0, 23, 3)}")
    if chance.random() < 0.7:
        parts.append(f"BYMINUTE={_some(chance, 0, 59, 2)}")
    if chance.random() < 0.4:
        days = chance.sample(["MO", "TU", "WE", "TH", "FR", "SA", "SU"], chance.randint(1, 3))
        parts.append(f"BYDAY={','.join(days)}")
    elif frequency in {"YEARLY", "MONTHLY"} and chance.random() < 0.6:
        parts.append(f"BYMONTHDAY={chance.choice(['1', '15', '31', '-1', '29', '2,28'])}")
    if chance.random() < 0.3:
        parts.append(f"BYMONTH={_some(chance, 1, 12, 3)}")
    if frequency == "WEEKLY" and chance.random() < 0.3:
        parts.append("WKST=SU")
    if chance.random() < 0.2:
        parts.append(f"COUNT={chance.randint(1, 40)}")
    if frequency != "DAILY" and chance.random() < 0.3:
        parts.append(f"BYSETPOS={chance.choice(['1', '-1', '2', '1,-1'])}")
    return ";".join(parts)


def random_cron(chance: random.Random) -> tuple[str, str]:
    """An expression of fixed hours, and the same as a recurrence rule."""
    minutes, hours = _some(chance, 0, 59, 2), _some(chance, 0, 23, 3)
    months = _some(chance, 1, 12, 4) if chance.random() < 0.3 else None
    rule = f"FREQ=DAILY;BYHOUR={hours};BYMINUTE={minutes};BYSECOND=0"
    rule += f";BYMONTH={months}" if months else ""
    if chance.random() < 0.5:
        days = sorted(chance.sample(range(7), chance.randint(1, 4)))
        names = ["SU", "MO", "TU", "WE", "TH", "FR", "SA"]
        rule += f";BYDAY={','.join(names[day] for day in days)}"
        return f"{minutes} {hours} * {months or '*'} {','.join(map(str, days))}", rule
    days = _some(chance, 1, 28, 4)
    return f"{minutes} {hours} {days} {months or '*'} *", f"{rule};BYMONTHDAY={days}"


def _some(chance: random.Random, low: int, high: int, most: int) -> str:
    return ",".join(
        str(number)
        for number in sorted(chance.sample(range(low, high + 1), chance.randint(1, most)))
    )
