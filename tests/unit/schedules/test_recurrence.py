"""Recurrence against dateutil and zoneinfo done the slow, plain way."""

import random
import time
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

import pytest

from fleetjobs.errors import InvalidSchedule
from fleetjobs.schedules.recurrence import anchor_of, check_recurs, occurrences, preview
from fleetjobs.schedules.rules import Rule
from tests.slow_recurrence import ZONES, by_dateutil, random_cron, random_rrule

ANCHOR = datetime(2024, 2, 29, 9, 17, 30, tzinfo=UTC)
END = datetime(2034, 3, 1, tzinfo=UTC)


def ours(rule: Rule, begin: datetime, end: datetime) -> list[datetime]:
    found = occurrences(rule, begin, begin - timedelta(seconds=1))
    return list(takewhile(lambda moment: moment < end, found))


def compare(seed: int) -> None:
    """Ten years of one random rule, all of it, and from where a scheduler would look again."""
    chance = random.Random(seed)  # noqa: S311  a test's
    zone = ZONES[seed % len(ZONES)]
    if chance.random() < 0.5:
        text, plain = random_cron(chance)
        rule = Rule(cron=text, zone=zone)
    else:
        plain = random_rrule(chance)
        rule = Rule(rrule=plain, zone=zone)

    expected = by_dateutil(plain, ZoneInfo(zone), ANCHOR, END)

    assert ours(rule, ANCHOR, END) == expected, (seed, rule)
    for after in chance.sample(expected, min(5, len(expected))):
        behind = [moment for moment in expected if moment > after][:3]
        assert preview(rule, ANCHOR, after, len(behind)) == behind, (seed, rule, after)


@pytest.mark.spec("S2-03")
@pytest.mark.parametrize("block", range(4))
def test_ten_years_of_random_rules_are_as_counted_out_slowly(block: int) -> None:
    for seed in range(block * 12, block * 12 + 12):
        compare(seed)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_ten_years_of_500_random_rules_are_as_counted_out_slowly() -> None:
    for seed in range(48, 548):
        compare(seed)


def utc(*numbers: int) -> datetime:
    return datetime(*numbers, tzinfo=UTC)  # type: ignore[arg-type, misc]


def test_a_time_that_is_left_out_comes_after_the_gap_once() -> None:
    """02:30 on 8 March 2026 does not exist in New York; 03:00 there is 07:00 UTC."""
    daily = Rule(cron="30 2 * * *", zone="America/New_York")
    twice = Rule(rrule="FREQ=DAILY;BYHOUR=2;BYMINUTE=0,30", zone="America/New_York")

    found = preview(daily, utc(2026, 1, 1), utc(2026, 3, 7, 12), 2)
    both = preview(twice, utc(2026, 1, 1), utc(2026, 3, 7, 12), 2)

    assert found == [utc(2026, 3, 8, 7), utc(2026, 3, 9, 6, 30)]
    assert both == [utc(2026, 3, 8, 7), utc(2026, 3, 9, 6)]


def test_a_time_that_comes_twice_counts_once() -> None:
    rule = Rule(cron="*/30 2 * * *", zone="Europe/Rome")

    found = preview(rule, utc(2026, 1, 1), utc(2026, 10, 24, 12), 3)

    assert found == [utc(2026, 10, 25, 0), utc(2026, 10, 25, 0, 30), utc(2026, 10, 26, 1)]


@pytest.mark.parametrize(
    "rule",
    [
        Rule(every_s=3600, zone="Europe/Rome"),
        Rule(cron="0 * * * *", zone="Europe/Rome"),
        Rule(rrule="FREQ=HOURLY;BYMINUTE=0", zone="Europe/Rome"),
    ],
    ids=str,
)
def test_an_interval_follows_elapsed_time_over_both_changes_of_the_clock(rule: Rule) -> None:
    for day in (utc(2026, 10, 24, 22), utc(2027, 3, 27, 22)):
        found = preview(rule, utc(2026, 1, 1), day, 6)

        assert found == [day + timedelta(hours=number) for number in range(1, 7)]


def test_a_rule_counts_from_its_anchor_wherever_one_looks() -> None:
    rule = Rule(rrule="FREQ=WEEKLY;INTERVAL=2;BYDAY=TU;BYHOUR=4;BYMINUTE=0;WKST=MO")
    all_of_them = list(islice(occurrences(rule, utc(2026, 1, 1), utc(2026, 1, 1)), 60))

    for number, moment in enumerate(all_of_them[:-1]):
        assert preview(rule, utc(2026, 1, 1), moment, 1) == [all_of_them[number + 1]]


def test_times_of_a_list_come_in_order_and_once() -> None:
    late, early = utc(2027, 1, 2), utc(2027, 1, 1)
    rule = Rule(at=(late, early, late))

    assert preview(rule, utc(2026, 1, 1), utc(2026, 6, 1), 5) == [early, late]


def test_until_is_local_unless_marked() -> None:
    here = Rule(rrule="FREQ=DAILY;UNTIL=20260105T090000", zone="Asia/Tokyo")
    there = Rule(rrule="FREQ=DAILY;UNTIL=20260105T090000Z", zone="Asia/Tokyo")
    anchor = utc(2026, 1, 1, 0, 0)  # 09:00 in Tokyo

    assert len(preview(here, anchor, utc(2025, 1, 1), 99)) == 5
    assert len(preview(there, anchor, utc(2025, 1, 1), 99)) == 5
    assert preview(here, anchor, utc(2025, 1, 1), 99)[-1] == utc(2026, 1, 5)


@pytest.mark.parametrize(
    ("rule", "what"),
    [
        (Rule(), "nothing says when"),
        (Rule(cron="0 4 * * *", every_s=60), "exclude each other"),
        (Rule(cron="0 4 * * * *"), "6 fields, not five"),
        (Rule(cron="0 25 * * *"), "hour is wrong"),
        (Rule(cron="0 0 31 2 *"), "day-of-month is wrong"),
        (Rule(cron="@noon"), "is none of @hourly"),
        (Rule(cron="0 4 * * *", zone="Europe/Atlantis"), "no time zone"),
        (Rule(cron="0 4 * * *", zone="../../etc/passwd"), "no time zone"),
        (Rule(rrule="FREQ=SECONDLY"), "FREQ is SECONDLY"),
        (Rule(rrule="INTERVAL=2"), "FREQ is missing"),
        (Rule(rrule="FREQ=DAILY;BYDAY=XX"), "BYDAY=XX: it is MO to SU"),
        (Rule(rrule="FREQ=DAILY;COUNT=0"), "COUNT is 0; it is 1 to"),
        (Rule(rrule="FREQ=DAILY;INTERVAL=0"), "INTERVAL"),
        (Rule(rrule="FREQ=DAILY;UNTIL=20200101"), "never comes true"),
        (Rule(rrule="FREQ=DAILY;UNTIL=soon"), "is no time"),
        (Rule(rrule="FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"), "never comes true"),
        (Rule(rrule="FREQ=DAILY;FREQ=DAILY"), "twice"),
        (Rule(at=(utc(2020, 1, 1),)), "never comes true"),
        (Rule(at=(utc(9999, 12, 31),)), "not between 1970 and 2200"),
        (Rule(at=(utc(1, 1, 1),)), "not between 1970 and 2200"),
        (Rule(rrule="FREQ=MINUTELY;BYMONTH=2;BYMONTHDAY=31"), "never comes true"),
        (Rule(rrule="FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=31;UNTIL=20990101"), "never comes true"),
        (Rule(rrule="FREQ=YEARLY;BYWEEKNO=53;BYMONTH=6"), "never comes true"),
        (Rule(rrule="FREQ=YEARLY;INTERVAL=99999999999"), "INTERVAL is 99999999999; it is 1 to"),
        (Rule(rrule="FREQ=DAILY;COUNT=²"), "COUNT is ²; it is 1 to"),
        (Rule(rrule="FREQ=HOURLY;BYMINUTE=75"), "BYMINUTE=75: it is 0 to 59"),
        (Rule(rrule="FREQ=HOURLY;BYHOUR=25"), "BYHOUR=25: it is 0 to 23"),
        (Rule(rrule="FREQ=MINUTELY;INTERVAL=1440;BYHOUR=3"), "cannot be read"),
        (Rule(rrule="FREQ=MONTHLY;BYMONTHDAY=0"), "BYMONTHDAY=0: it is 1 to 31, or -31 to -1"),
        (Rule(rrule="FREQ=MONTHLY;BYDAY=99MO"), "BYDAY=99MO: there are 5 at most"),
        (Rule(rrule="FREQ=WEEKLY;BYDAY=2TU"), "BYDAY=2TU: it is MO to SU"),
        (Rule(rrule="FREQ=YEARLY;BYEASTER=99999"), "never comes true|cannot be read"),
        (Rule(rrule="FREQ=HOURLY;COUNT=5;BYSETPOS=2"), "BYSETPOS=2 never comes true"),
        (Rule(rrule="FREQ=MINUTELY;BYSETPOS=-2"), "BYSETPOS=-2 never comes true"),
        (Rule(rrule="FREQ=DAILY;BYHOUR=3,4;BYSETPOS=3"), "BYSETPOS=3 never comes true"),
        (Rule(rrule="FREQ=WEEKLY;BYSETPOS=9;COUNT=1"), "never comes true"),
        (Rule(rrule="FREQ=DAILY;INTERVAL=7;BYDAY=TU;COUNT=5"), "never comes true"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_rule_that_says_nothing_useful_is_refused_by_name(rule: Rule, what: str) -> None:
    """At once: dateutil would go through all days there will be in search of some of these."""
    began = time.process_time()

    with pytest.raises(InvalidSchedule, match=what):
        check_recurs(rule, utc(2026, 1, 1))

    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("text", "second"),
    [
        ("FREQ=MONTHLY;INTERVAL=240", utc(2046, 1, 1)),
        ("FREQ=DAILY;INTERVAL=10000", utc(2053, 5, 19)),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO", utc(2072, 2, 29)),
        ("FREQ=MINUTELY;INTERVAL=1440;BYMONTH=2;BYMONTHDAY=29", utc(2032, 2, 29)),
        ("FREQ=YEARLY;BYMONTH=1;INTERVAL=100", utc(2126, 1, 1)),
    ],
)
def test_a_rule_goes_on_however_long_nothing_comes_of_it(text: str, second: datetime) -> None:
    rule, anchor = Rule(rrule=text), utc(2026, 1, 1)
    check_recurs(rule, anchor)
    first = preview(rule, anchor, anchor - timedelta(seconds=1), 1)[0]

    assert preview(rule, anchor, first, 1) == [second]


def test_what_is_picked_from_a_week_is_the_same_wherever_one_looks() -> None:
    """The week that a rule begins in counts from its beginning, and that one alone."""
    rule = Rule(rrule="FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=3")
    wednesday = utc(2026, 1, 7)
    expected = preview(rule, wednesday, wednesday, 30)

    for hours in range(0, 24 * 40, 5):
        after = wednesday + timedelta(hours=hours)
        ahead = next(moment for moment in expected if moment > after)
        assert preview(rule, wednesday, after, 1) == [ahead]


def test_calendars_that_near_their_end_harm_nobody() -> None:
    """Whatever year is named; an end that is as good as none is none."""
    for_ever = Rule(rrule="FREQ=DAILY;UNTIL=99991231T235959Z", zone="Pacific/Kiritimati")
    seldom = Rule(every_s=316_224_000)

    check_recurs(for_ever, utc(2026, 1, 1))
    assert len(preview(for_ever, utc(2026, 1, 1), utc(2026, 1, 1), 3)) == 3
    assert preview(for_ever, utc(2026, 1, 1), utc(9999, 12, 31), 3) == []
    assert len(preview(seldom, utc(2026, 1, 1), utc(2026, 1, 1), 1000)) == 17
    with pytest.raises(InvalidSchedule, match="the beginning"):
        check_recurs(for_ever, utc(9999, 12, 31))


def test_what_comes_on_a_leap_day_comes_wherever_one_begins() -> None:
    """The days of a rule are looked for in other years with the same calendar."""
    for year in (2024, 2025, 2026, 2027, 2096, 2100):
        check_recurs(Rule(rrule="FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29"), utc(year, 2, 28, 12))
        check_recurs(Rule(rrule="FREQ=MONTHLY;BYDAY=5FR"), utc(year, 1, 1))


@pytest.mark.parametrize(
    "cron", ["0 0 L * *", "0 0 * * 5#2", "0 0 * * FRI", "0 4 * JAN-MAR *", "@daily"]
)
def test_the_words_cron_users_know_are_understood(cron: str) -> None:
    check_recurs(Rule(cron=cron), utc(2026, 1, 1))


def test_recurrence_rules_begin_with_a_whole_minute() -> None:
    """They say no seconds; intervals count from the moment itself."""
    moment = datetime(2026, 11, 21, 21, 42, 58, 7, UTC)

    assert anchor_of(Rule(rrule="FREQ=DAILY"), moment) == datetime(2026, 11, 21, 21, 43, tzinfo=UTC)
    assert anchor_of(Rule(every_s=60), moment) == moment
