import json
import os
from collections.abc import Callable
from errno import EMFILE
from pathlib import Path

import pytest

from fleetjobs.errors import UnknownAgent
from fleetjobs.registry import Registry
from tests.workbench import write_agent


def test_an_agent_is_an_interface_with_a_program_or_a_module(tmp_path: Path) -> None:
    write_agent(tmp_path, "shelly", program="#!/bin/sh\n")
    write_agent(tmp_path, "snake", module="x")

    registry = Registry([tmp_path])

    shelly, snake = registry.agent("shelly"), registry.agent("snake")
    assert (shelly.program, shelly.module) == (tmp_path / "shelly" / "shelly", None)
    assert (snake.program, snake.module) == (None, tmp_path / "snake" / "snake.py")
    assert shelly.interface.version == "1.0.0"
    assert not registry.refused


def test_an_unknown_agent_is_told_which_there_are(tmp_path: Path) -> None:
    write_agent(tmp_path, "snake", module="x")

    with pytest.raises(UnknownAgent, match="snake"):
        Registry([tmp_path]).agent("snail")


def test_the_later_directory_wins(tmp_path: Path) -> None:
    write_agent(tmp_path / "site", "snake", module="x")
    write_agent(tmp_path / "shipped", "snake", module="x")

    registry = Registry([tmp_path / "shipped", tmp_path / "site"])

    assert registry.agent("snake").directory == tmp_path / "site" / "snake"


def test_a_directory_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert Registry([tmp_path / "none"]).agents == {}


def write(path: Path, text: str) -> None:
    path.write_text(text)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda place: (place / "odd.json").unlink(), "No such file"),
        (lambda place: write(place / "odd.json", "{"), "not JSON"),
        (lambda place: write(place / "odd.json", "[]"), "object"),
        (lambda place: (place / "odd.py").unlink(), "none"),
        (lambda place: (place / "odd").symlink_to("/bin/true"), "both"),
        (lambda place: change(place / "odd.json", name="even"), "even"),
        (lambda place: change(place / "odd.json", provider="golang"), "golang"),
    ],
)
def test_a_broken_agent_is_refused_with_a_reason_and_stops_no_other(
    tmp_path: Path, spoil: Callable[[Path], object], why: str
) -> None:
    write_agent(tmp_path, "odd", module="x")
    write_agent(tmp_path, "snake", module="x")
    spoil(tmp_path / "odd")

    registry = Registry([tmp_path])

    assert set(registry.agents) == {"snake"}
    assert why in registry.refused["odd"]


def change(path: Path, **metadata: str) -> None:
    document = json.loads(path.read_text())
    document["metadata"] |= metadata
    path.write_text(json.dumps(document))


def test_a_program_that_may_not_be_executed_is_none(tmp_path: Path) -> None:
    write_agent(tmp_path, "shelly", program="#!/bin/sh\n")
    (tmp_path / "shelly" / "shelly").chmod(0o644)

    assert "none" in Registry([tmp_path]).refused["shelly"]


def test_refreshing_sees_what_was_added_changed_and_removed(tmp_path: Path) -> None:
    write_agent(tmp_path, "snake", module="x")
    registry = Registry([tmp_path])
    before = registry.agent("snake")
    assert not registry.refresh()

    write_agent(tmp_path, "shelly", program="#!/bin/sh\n")
    assert registry.refresh()
    assert registry.agent("snake") is before
    assert "shelly" in registry.agents

    write(tmp_path / "snake" / "snake.py", "other")
    assert registry.refresh()
    assert registry.agent("snake") is not before

    os.unlink(tmp_path / "snake" / "snake.json")  # noqa: PTH108  as an administrator would
    assert registry.refresh()
    assert set(registry.agents) == {"shelly"}


@pytest.mark.parametrize("function", ["listdir", "read"])
def test_without_descriptors_what_is_known_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    """An agent that cannot be looked at just now is not an agent that is gone."""
    write_agent(tmp_path, "snake", module="x")
    registry = Registry([tmp_path])
    write_agent(tmp_path, "snake", module="longer")

    if function == "listdir":
        monkeypatch.setattr(os, "listdir", without_descriptors)
    else:
        monkeypatch.setattr(Path, "read_bytes", without_descriptors)

    assert not registry.refresh()
    assert registry.agent("snake")
    monkeypatch.undo()
    assert registry.refresh()


def without_descriptors(path: Path) -> None:
    raise OSError(EMFILE, os.strerror(EMFILE), str(path))
