"""One state directory, one fleet; a port that is taken is refused before anything starts."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from fleetjobs.errors import Conflict, InvalidSetting, Unavailable
from fleetjobs.programs import moorings
from fleetjobs.programs.moorings import free_or_refuse, hold, reach_broker


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


def test_a_broker_that_nobody_is_at_is_told_at_once() -> None:
    """Every part would wait for it, and the terminal would stay empty."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        reach_broker(f"amqp://user:hunter2@127.0.0.1:{port}/fleet")

    with pytest.raises(Unavailable, match=f"127.0.0.1:{port} does not answer") as refusal:
        reach_broker(f"amqp://user:hunter2@127.0.0.1:{port}/fleet")
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize("url", ["foo", "http://127.0.0.1/", "amqp://127.0.0.1:many/", ""])
def test_what_is_no_broker_is_told_with_what_would_be(url: str) -> None:
    with pytest.raises(InvalidSetting, match=r"redis://127\.0\.0\.1:6379/0"):
        reach_broker(url)


def test_a_broker_behind_a_socket_file_is_left_to_those_who_use_it() -> None:
    reach_broker("redis+socket:///run/redis.sock")
