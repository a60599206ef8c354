"""One state directory, one fleet; a port that is taken is refused before anything starts."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from fleetjobs.errors import Conflict, InvalidSetting
from fleetjobs.programs import moorings
from fleetjobs.programs.moorings import free_or_refuse, hold


def test_a_second_fleet_on_the_same_state_is_refused(tmp_path: Path) -> None:
    lock = tmp_path / "lock"

    with hold(lock), pytest.raises(Conflict, match=f"process {os.getpid()}"), hold(lock):
        pass


def test_a_state_is_free_again_after_its_fleet(tmp_path: Path) -> None:
    with hold(tmp_path / "lock"):
        pass

    with hold(tmp_path / "lock"):
        pass


def test_what_a_killed_fleet_left_running_keeps_its_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers must never share a spool, nor two brokers a directory."""
    monkeypatch.setattr(moorings, "LEFTOVERS_S", 0.1)
    lock = tmp_path / "lock"
    with hold(lock) as descriptor:
        left = subprocess.Popen(["sleep", "60"], pass_fds=[descriptor])
    lock.write_text("999999999\n")  # whoever held it is no more

    try:
        with pytest.raises(Conflict, match="still run"), hold(lock):
            pass
    finally:
        left.kill()
        left.wait()


def test_a_port_that_is_taken_is_refused() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()

        with pytest.raises(Conflict, match="give another --port"):
            free_or_refuse(other.getsockname()[1], "--port")


def test_a_state_directory_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """No traceback: a person has mistyped a path."""
    (tmp_path / "file").write_text("", encoding="utf-8")

    with (
        pytest.raises(InvalidSetting, match=r"cannot be written.*--state"),
        hold(tmp_path / "file" / "lock"),
    ):
        pass
