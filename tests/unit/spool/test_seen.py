import os
import resource
from datetime import UTC, datetime, timedelta
from errno import EMFILE
from pathlib import Path

import pytest

from fleetjobs.errors import SpoolFull
from fleetjobs.names import JobId
from fleetjobs.spool import seen as module
from fleetjobs.spool.attempts import RunKey
from fleetjobs.spool.seen import KEEP, Seen


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = datetime(2026, 12, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        """The time it was set to."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def key(number: int = 1) -> RunKey:
    return RunKey(JobId(f"0190a1b2-0000-7000-8000-{number:012}"), 1)


def test_an_attempt_is_new_once(tmp_path: Path, clock: Clock) -> None:
    seen = Seen(tmp_path / "seen", clock)

    assert key() not in seen
    assert seen.add(key(), clock.now + timedelta(hours=1))
    assert key() in seen
    assert not seen.add(key(), clock.now + timedelta(hours=1))


def test_what_was_seen_survives_the_process(tmp_path: Path, clock: Clock) -> None:
    Seen(tmp_path / "seen", clock).add(key())

    assert key() in Seen(tmp_path / "seen", clock)


def test_what_cannot_arrive_any_more_is_forgotten_at_the_next_start(
    tmp_path: Path, clock: Clock
) -> None:
    seen = Seen(tmp_path / "seen", clock)
    seen.add(key(1), clock.now + timedelta(hours=1))
    seen.add(key(2))

    clock.now += timedelta(hours=2)
    later = Seen(tmp_path / "seen", clock)

    assert key(1) not in later
    assert key(2) in later
    assert len((tmp_path / "seen").read_text().splitlines()) == 1


def test_without_an_end_it_is_remembered_for_a_month(tmp_path: Path, clock: Clock) -> None:
    Seen(tmp_path / "seen", clock).add(key())

    clock.now += KEEP + timedelta(seconds=1)

    assert key() not in Seen(tmp_path / "seen", clock)


def test_a_line_that_was_cut_or_altered_stops_no_other(tmp_path: Path, clock: Clock) -> None:
    Seen(tmp_path / "seen", clock).add(key(1))
    with (tmp_path / "seen").open("a") as file:
        file.write("garbage\n" + str(key(2)))

    seen = Seen(tmp_path / "seen", clock)

    assert key(1) in seen
    assert key(2) not in seen
    assert seen.add(key(2))
    assert key(2) in Seen(tmp_path / "seen", clock)


def test_a_full_disk_leaves_no_half_line_and_nothing_is_begun(tmp_path: Path, clock: Clock) -> None:
    seen = Seen(tmp_path / "seen", clock)
    seen.add(key(1))
    size = (tmp_path / "seen").stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, hard))
    try:
        with pytest.raises(SpoolFull):
            seen.add(key(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert key(2) not in seen
    assert (tmp_path / "seen").stat().st_size == size
    assert seen.add(key(2))
    assert key(2) in Seen(tmp_path / "seen", clock)


def test_a_worn_journal_is_written_anew_while_the_worker_runs(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WORN_AT", 10)
    seen = Seen(tmp_path / "seen", clock)
    for number in range(100):
        seen.add(key(number), clock.now + timedelta(minutes=1))
        clock.now += timedelta(minutes=1)

    assert len((tmp_path / "seen").read_text().splitlines()) <= 11
    assert key(99) in seen


def test_a_journal_that_could_not_be_written_anew_is_the_next_time(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For want of a descriptor; the one it had may be another's by then."""
    monkeypatch.setattr(module, "WORN_AT", 3)
    seen = Seen(tmp_path / "seen", clock)
    for number in range(3):
        seen.add(key(number))
    opened = os.open

    def refuse(path: Path, flags: int, *mode: int, **more: int) -> int:
        if flags & os.O_APPEND:
            raise OSError(EMFILE, os.strerror(EMFILE))
        return opened(path, flags, *mode, **more)

    with monkeypatch.context() as patch:
        patch.setattr("fleetjobs.spool.seen.os.open", refuse)
        with pytest.raises(SpoolFull):
            seen.add(key(3))
    assert seen.add(key(3))

    assert all(key(number) in Seen(tmp_path / "seen", clock) for number in range(4))
