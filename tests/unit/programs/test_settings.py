"""Settings come from a file and the environment, and say what is wrong with them."""

from pathlib import Path

import pytest

from fleetjobs.errors import InvalidSetting
from fleetjobs.programs.settings import CoordinatorSettings, NodeSettings, load_settings

FILE = """
identity = "web1"
broker = "redis://localhost"
state = "state"
key = "node.pem"
trust = "trust"
policy = "policy.toml"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "node.toml"
    path.write_text(FILE, encoding="utf-8")
    return path


def test_paths_are_relative_to_the_file(file: Path) -> None:
    settings = load_settings(NodeSettings, file, {})

    assert settings.key == file.parent / "node.pem"
    assert settings.slots == 8


def test_the_environment_wins(file: Path) -> None:
    environment = {
        "FLEETJOBS_NODE_SLOTS": "3",
        "FLEETJOBS_NODE_IDENTITY": "web2",
        "FLEETJOBS_NODE_AGENTS": "/a:/b",
    }

    settings = load_settings(NodeSettings, file, environment)

    assert (settings.slots, settings.identity) == (3, "web2")
    assert settings.agents == (Path("/a"), Path("/b"))


def test_settings_can_come_from_the_environment_alone() -> None:
    environment = {
        "FLEETJOBS_COORDINATOR_BROKER": "redis://localhost",
        "FLEETJOBS_COORDINATOR_DATABASE": "sqlite:////var/lib/fleetjobs/db",
        "FLEETJOBS_COORDINATOR_KEY": "/etc/fleetjobs/key.pem",
        "FLEETJOBS_KEY": "/keys/ada.pem",
    }

    settings = load_settings(CoordinatorSettings, None, environment)

    assert settings.key == Path("/etc/fleetjobs/key.pem")


@pytest.mark.spec("S1-09")
@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("slotz = 3", "slotz"),
        ("slots = 'many'", "slots"),
        ("= nonsense", "cannot be read"),
    ],
)
def test_what_is_wrong_is_named_with_its_file(file: Path, line: str, named: str) -> None:
    file.write_text(FILE + line, encoding="utf-8")

    with pytest.raises(InvalidSetting, match=named) as raised:
        load_settings(NodeSettings, file, {})

    assert str(file) in str(raised.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match=r"nowhere\.toml"):
        load_settings(NodeSettings, tmp_path / "nowhere.toml", {})


def test_that_nothing_is_set_says_what_has_to_be() -> None:
    with pytest.raises(InvalidSetting) as raised:
        load_settings(CoordinatorSettings, None, {})

    assert str(raised.value) == (
        "no settings are known: give --config FILE, or set FLEETJOBS_COORDINATOR_BROKER, "
        "FLEETJOBS_COORDINATOR_DATABASE, FLEETJOBS_COORDINATOR_KEY"
    )
