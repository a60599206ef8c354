"""Test clocks: moved by a file, and only where a program was started with one."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fleetjobs.cli.main import run
from fleetjobs.clocks import VARIABLE, now, pace, patience, set_clock
from fleetjobs.errors import InvalidSetting

SOON = timedelta(seconds=30)
SUMMER = datetime(2026, 3, 29, 0, 59, tzinfo=UTC)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the test clock is, which nobody has set."""
    place = tmp_path / "clock"
    monkeypatch.setenv(VARIABLE, str(place))
    return place


@pytest.fixture
def _no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.mark.usefixtures("_no_file")
def test_without_a_test_clock_nothing_can_be_moved(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["clock", "advance", "3h"]) == 1
    assert "there is no test clock" in capsys.readouterr().err
    assert abs(now() - datetime.now(UTC)) < SOON
    assert (patience(5.0), pace()) == (5.0, 1.0)


def test_a_clock_that_nobody_set_shows_the_time(file: Path) -> None:
    assert abs(now() - datetime.now(UTC)) < SOON
    assert not file.exists()


def test_it_is_set_forward_and_back(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["clock", "set", "2026-03-29T00:59:00Z"]) == 0
    assert run(["clock", "advance", "1d"]) == 0
    assert run(["clock", "back", "1h"]) == 0

    assert capsys.readouterr().out.split()[0] == "2026-03-29T00:59:00Z"
    assert timedelta() <= now() - SUMMER - timedelta(hours=23) < SOON
    assert file.exists()


@pytest.mark.usefixtures("file")
def test_it_stands_still_or_hurries() -> None:
    set_clock(moment=SUMMER, pace=0)
    assert now() == now() == SUMMER

    set_clock(pace=100_000)
    first = now()
    while now() == first:
        pass
    assert now() - SUMMER > timedelta(seconds=1)
    assert patience(5.0) < 1


def test_what_is_no_clock_is_refused_by_name(file: Path) -> None:
    file.write_text("half past nine")

    with pytest.raises(InvalidSetting, match="is no clock"):
        now()


@pytest.mark.parametrize("words", [("set", "noon"), ("advance", "-3h"), ("pace", "-1")])
def test_what_cannot_be_meant_is_refused(file: Path, words: tuple[str, ...]) -> None:
    assert run(["clock", *words]) == 1
    assert not file.exists()
