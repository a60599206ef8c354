import os
import signal
from pathlib import Path

import pytest

from fleetjobs.crashpoints import CRASH_POINTS, crash_point


def is_killed() -> bool:
    """Whether a forked process that passes every crash point was killed."""
    pid = os.fork()
    if pid == 0:
        for point in CRASH_POINTS:
            crash_point(point)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def test_unset_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLEETJOBS_CRASH_POINT", raising=False)

    assert not is_killed()


def test_a_process_dies_where_it_was_asked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETJOBS_CRASH_POINT", "mid_run")

    assert is_killed()
    assert is_killed()


def test_once_means_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FLEETJOBS_CRASH_POINT", "mid_run")
    monkeypatch.setenv("FLEETJOBS_CRASH_ONCE", str(tmp_path / "once"))

    assert is_killed()
    assert not is_killed()
