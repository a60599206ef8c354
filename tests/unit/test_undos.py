"""Undos: what an interface may declare to take an action back, and what it is filled with."""

import copy
import json
from typing import Any

import pytest

from fleetjobs.declarations import Undo
from fleetjobs.errors import InvalidInterface
from fleetjobs.interfaces import read_interface
from tests.agent_programs import DIRECTORIES, interface_of

UNDO = {
    "action": "remove",
    "data": {"name": "${data.name}", "path": "${reply.place.path}"},
    "only_if": "made",
}
DOCUMENT: dict[str, Any] = {
    "metadata": {"name": "disk", "version": "1.0.0", "timeout": 30},
    "actions": [
        {
            "action": "make",
            "input": {
                "name": {"type": "string"},
                "size": {"type": "integer", "default": 1},
                "note": {"type": "string", "optional": True},
                "key": {"type": "string", "optional": True},
            },
            "output": {"made": {"type": "boolean"}, "place": {"type": "hash"}},
        },
        {
            "action": "remove",
            "input": {
                "name": {"type": "string", "validation": "^[a-z]"},
                "path": {"type": "string", "optional": True},
                "size": {"type": "number", "optional": True},
            },
            "output": {},
        },
        {"action": "look", "input": {}, "output": {}},
    ],
    "fleetjobs": {
        "actions": {"make": {"undo": UNDO, "secret": ["key"]}, "look": {"undo": "nothing"}}
    },
}


def with_undo(undo: Any) -> dict[str, Any]:
    document = copy.deepcopy(DOCUMENT)
    document["fleetjobs"]["actions"]["make"]["undo"] = undo
    return document


def test_an_action_says_what_takes_it_back() -> None:
    disk = read_interface(DOCUMENT)

    assert disk.action("make").undo == Undo(**UNDO)  # type: ignore[arg-type]  # as it was read
    assert disk.action("make").reversible


def test_an_action_that_leaves_nothing_is_reversible_by_doing_nothing() -> None:
    disk = read_interface(DOCUMENT)

    assert disk.action("look").undo is None
    assert disk.action("look").reversible


def test_an_action_that_says_nothing_cannot_be_taken_back() -> None:
    disk = read_interface(DOCUMENT)

    assert disk.action("remove").undo is None
    assert not disk.action("remove").reversible


@pytest.mark.parametrize(
    ("undo", "complaint"),
    [
        ({"action": "erase", "data": {}}, "no action 'erase'"),
        ({"action": "remove", "data": {}}, "remove needs name"),
        ({"action": "remove", "data": {"name": "a", "colour": "red"}}, "no such input"),
        ({"action": "remove", "data": {"name": "${data.title}"}}, "'title' is no input"),
        ({"action": "remove", "data": {"name": "${reply.title}"}}, "'title' is no output"),
        ({"action": "remove", "data": {"name": "${name}"}}, "a reference is written"),
        ({"action": "remove", "data": {"name": "${data.name"}}, "a reference is written"),
        ({"action": "remove", "data": {"name": "${data.size}"}}, "takes string, and size is int"),
        ({"action": "remove", "data": {"name": "${data.note}"}}, "note may be missing"),
        ({"action": "remove", "data": {"name": "${data.key}"}}, "key is secret"),
        ({"action": "remove", "data": {"name": "x${data.key}"}}, "key is secret"),
        ({"action": "remove", "data": {"name": "Up"}}, "name does not match"),
        ({"action": "remove", "data": {"name": "a"}, "only_if": "born"}, "'born', which is no out"),
        ({"action": "remove", "data": {"name": "a"}, "whenever": 1}, "unknown field"),
        ("everything", "Invalid enum value 'everything'"),
    ],
)
def test_an_undo_that_could_not_be_filled_is_refused(undo: Any, complaint: str) -> None:
    with pytest.raises(InvalidInterface, match=complaint.replace("$", r"\$")):
        read_interface(with_undo(undo))


@pytest.mark.parametrize(
    "data",
    [
        {"name": "a"},
        {"name": "${data.name}", "size": "${data.size}"},
        {"name": "disk-${data.name}-${data.size}", "path": "${data.note}"},
    ],
)
def test_what_fits_passes(data: dict[str, Any]) -> None:
    read_interface(with_undo({"action": "remove", "data": data}))


def test_every_action_of_our_own_agents_says_if_it_can_be_taken_back_or_changes_nothing() -> None:
    """A look at something has to say that it leaves nothing; a rollback would list it else."""
    looks = ("status", "checkupdates", "search", "usage", "echo", "ping")

    interfaces = [interface_of(directory) for directory in DIRECTORIES]

    for interface in interfaces:
        for name, action in interface.actions.items():
            if name in looks:
                assert action.reversible, json.dumps(interface.document["fleetjobs"])
