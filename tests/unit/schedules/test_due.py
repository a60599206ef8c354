"""What becomes of occurrences that were not started at their time."""

from datetime import UTC, datetime, timedelta

import pytest

from fleetjobs.schedules.documents import Call, Misfire, Schedule, Work
from fleetjobs.schedules.due import Fate, jitter, judge_due
from fleetjobs.schedules.rules import Rule

NOW = datetime(2026, 11, 21, 9, 17, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def schedule(
    misfire: Misfire = Misfire.RUN_ONCE, *, grace_s: float = 900, catch_up: int = 10
) -> Schedule:
    return Schedule(
        label="s",
        work=Work(call=Call(agent="demo", action="echo")),
        rule=Rule(every_s=60),
        misfire=misfire,
        misfire_grace_s=grace_s,
        catch_up=catch_up,
    )


def missed_minutes(count: int) -> list[datetime]:
    return [NOW - number * MINUTE for number in reversed(range(count))]


def test_what_comes_at_its_time_is_a_job() -> None:
    (due,) = judge_due([NOW - timedelta(seconds=1)], NOW, schedule())

    assert (due.fate, due.missed_count) == (Fate.RAN, 0)


@pytest.mark.spec("S1-20")
def test_an_hour_of_minutes_that_nobody_saw_is_one_job_that_says_so() -> None:
    found = judge_due(missed_minutes(60), NOW, schedule())

    assert [due.fate for due in found[-16:]] == [*[Fate.COALESCED] * 15, Fate.RAN]
    assert {due.fate for due in found[:-16]} == {Fate.MISSED}
    assert found[-1].missed_count == 60


def test_what_is_later_than_its_grace_is_missed() -> None:
    """A service that was to be restarted at four is not restarted in the middle of the morning."""
    (due,) = judge_due([NOW.replace(hour=4, minute=0)], NOW, schedule())

    assert due.fate is Fate.MISSED


def test_all_are_made_up_for_up_to_a_limit() -> None:
    found = judge_due(missed_minutes(8), NOW, schedule(Misfire.RUN_ALL, catch_up=3))

    assert [due.fate for due in found] == [*[Fate.MISSED] * 5, *[Fate.RAN] * 3]
    assert {due.missed_count for due in found} == {0}


def test_whoever_skips_starts_only_what_has_just_come() -> None:
    punctual = judge_due(missed_minutes(3), NOW, schedule(Misfire.SKIP))
    late = judge_due([NOW - 2 * MINUTE], NOW, schedule(Misfire.SKIP))

    assert [due.fate for due in punctual] == [Fate.MISSED, Fate.MISSED, Fate.RAN]
    assert late[0].fate is Fate.MISSED


def test_jitter_is_spread_and_always_the_same() -> None:
    found = [jitter("backup", NOW + number * MINUTE, 100) for number in range(1000)]

    assert found == [jitter("backup", NOW + number * MINUTE, 100) for number in range(1000)]
    assert all(timedelta() <= one < timedelta(seconds=100) for one in found)
    assert len({one // timedelta(seconds=10) for one in found}) == 10
