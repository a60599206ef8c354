"""Indico's scheduler on a fleet: what its arguments mean, and what is refused by name."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from dateutil import rrule

from fleetjobs.compat.indico import (
    ConfigError,
    OneShotTask,
    SampleOneShotTask,
    Scheduler,
    TaskStatus,
    main,
    read_config,
    status_of,
)
from fleetjobs.compat.recurrence import read_rule
from fleetjobs.compat.tasks import name_of, revive, values_of
from fleetjobs.schedules.recurrence import preview
from fleetjobs.schedules.rules import Rule

NOW = datetime(2026, 11, 21, 4, 0, 12, 500, tzinfo=UTC)
OPTIONS = {"sleep_interval": 1, "task_max_tries": 1, "multitask_mode": "processes"}


@pytest.mark.spec("S1-08")
@pytest.mark.parametrize(
    ("frequency", "given"),
    [
        (rrule.MINUTELY, {"bysecond": (40,)}),
        (rrule.MINUTELY, {"bysecond": 5, "interval": 7}),
        (rrule.DAILY, {"byhour": (4, 16), "byminute": 30, "bysecond": 0, "count": 5}),
        (rrule.WEEKLY, {"byweekday": (rrule.TU, rrule.FR), "byhour": 3, "byminute": 0}),
        (rrule.MONTHLY, {"byweekday": rrule.FR(-1), "byhour": 3, "byminute": 0, "bysecond": 1}),
        (rrule.YEARLY, {"bymonth": 2, "bymonthday": -1, "wkst": rrule.SU, "interval": 2}),
        (rrule.HOURLY, {"until": datetime(2026, 11, 21, 9, 0, tzinfo=UTC), "byminute": 15}),
    ],
    ids=str,
)
def test_a_periodic_task_comes_when_dateutil_says(frequency: int, given: dict[str, Any]) -> None:
    begin = NOW.replace(microsecond=0)

    said, bounds = read_rule(frequency, given, NOW)
    ours = preview(Rule(**said), anchor := datetime.fromisoformat(bounds["active_from"]), NOW, 20)

    theirs = rrule.rrule(frequency, dtstart=begin, **given)
    expected = [moment for moment in theirs[:30] if moment > NOW][:20]
    assert [moment.replace(microsecond=0) for moment in ours][: len(expected)] == expected
    assert anchor >= begin


@pytest.mark.spec("S1-09")
@pytest.mark.parametrize(
    ("frequency", "given", "what"),
    [
        (rrule.SECONDLY, {}, "frequency"),
        (rrule.MINUTELY, {"bysecond": (1, 2)}, "bysecond"),
        (rrule.YEARLY, {"byeaster": 0}, "byeaster"),
        (rrule.DAILY, {"every": 2}, "every"),
    ],
)
def test_an_argument_that_no_schedule_knows_is_refused_by_name(
    frequency: int, given: dict[str, Any], what: str
) -> None:
    with pytest.raises(ConfigError, match=what):
        read_rule(frequency, given, NOW)


@pytest.mark.spec("S1-09")
def test_the_scheduler_takes_what_it_always_took() -> None:
    scheduler = Scheduler(sleep_interval=1, task_max_tries=1, multitask_mode="processes")

    assert scheduler.options.task_max_tries == 1


@pytest.mark.spec("S1-09")
@pytest.mark.parametrize(
    "wrong",
    [{"sleep": 1}, {"multitask_mode": "fibres"}, {"task_max_tries": 0}, {"sleep_interval": "1"}],
    ids=str,
)
def test_an_option_that_is_unknown_is_refused_by_name(
    wrong: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (name,) = wrong
    lines = [f"{key} = {value!r}\n" for key, value in (OPTIONS | wrong).items()]
    file = tmp_path / "indico.toml"
    file.write_text("[scheduler]\n" + "".join(lines))

    with pytest.raises(ConfigError, match=name):
        Scheduler(**OPTIONS | wrong)
    assert main(["--config", str(file)]) == 2
    assert name in capsys.readouterr().err


@pytest.mark.spec("S1-09")
def test_a_file_says_the_same(tmp_path: Path) -> None:
    file = tmp_path / "indico.toml"
    file.write_text(
        '[scheduler]\nsleep_interval = 1\ntask_max_tries = 3\nmultitask_mode = "processes"\n'
        'coordinator = "here.toml"\n'
    )

    scheduler, coordinator = read_config(file)

    assert scheduler.options.task_max_tries == 3
    assert coordinator == tmp_path / "here.toml"
    assert main(["--config", str(file), "--check"]) == 0


def test_a_task_travels_with_what_it_holds() -> None:
    task = SampleOneShotTask(NOW)
    task.room = {"number": [4, 5]}  # type: ignore[attr-defined]  # as tasks do

    again = revive(name_of(task), values_of(task))

    assert isinstance(again, SampleOneShotTask)
    assert vars(again)["room"] == {"number": [4, 5]}


def test_what_cannot_travel_is_refused_by_name() -> None:
    class Here(OneShotTask):
        pass

    task = SampleOneShotTask()
    task.file = object()  # type: ignore[attr-defined]  # as tasks should not

    with pytest.raises(ConfigError, match="file"):
        values_of(task)
    with pytest.raises(ConfigError, match="Here"):
        name_of(Here())


@pytest.mark.parametrize(
    ("job", "status"),
    [
        ({"state": "waiting", "wait_reason": "outbox"}, TaskStatus.SPOOLED),
        ({"state": "scheduled"}, TaskStatus.QUEUED),
        ({"state": "queued"}, TaskStatus.QUEUED),
        ({"state": "running"}, TaskStatus.RUNNING),
        ({"state": "succeeded"}, TaskStatus.FINISHED),
        ({"state": "failed", "reason": "exit_code"}, TaskStatus.FAILED),
        ({"state": "failed", "reason": "lost"}, TaskStatus.TERMINATED),
        ({"state": "cancelled"}, TaskStatus.ABORTED),
    ],
    ids=str,
)
def test_states_have_their_names(job: dict[str, Any], status: TaskStatus) -> None:
    assert status_of({"reason": None, "wait_reason": None} | job) is status


def test_a_second_that_has_begun_is_the_next_minutes() -> None:
    """A beginning within the second that is asked for is the next minute's."""
    _, bounds = read_rule(rrule.MINUTELY, {"bysecond": 12}, NOW)

    begin = datetime.fromisoformat(bounds["active_from"])
    assert begin == NOW.replace(microsecond=0) + timedelta(minutes=1)
