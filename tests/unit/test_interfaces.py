"""Interfaces: what agents declare, and what holds of their actions."""

import contextlib
import copy
import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetjobs.errors import InvalidInput, InvalidInterface, MissingInput, UnknownAction
from fleetjobs.interfaces import Display, read_interface

DOCUMENT: dict[str, Any] = {
    "$schema": "https://choria.io/schemas/mcorpc/ddl/v1/agent.json",
    "metadata": {
        "name": "package",
        "description": "Installs and removes software",
        "author": "The fleetjobs authors",
        "license": "Apache-2.0",
        "version": "1.0.0",
        "url": "https://example.org",
        "timeout": 300,
    },
    "actions": [
        {
            "action": "install",
            "description": "Install a package",
            "display": "always",
            "input": {
                "name": {
                    "prompt": "Name",
                    "description": "what to install",
                    "type": "string",
                    "validation": "shellsafe",
                    "optional": False,
                    "maxlength": 90,
                    "default": None,
                },
                "attempts": {"type": "integer", "default": 3, "optional": True},
                "how": {"type": "list", "list": ["quick", "careful"], "default": "careful"},
                "options": {"type": "Hash", "optional": True},
                "password": {"type": "string", "optional": True},
            },
            "output": {
                "version": {"description": "installed", "display_as": "Version", "default": ""},
                "log": {"description": "what was done", "display_as": "Log", "default": []},
                "nothing": {"description": "no default", "display_as": "N", "default": None},
            },
            "aggregate": [{"function": "summary", "args": ["version"]}],
        },
        {"action": "status", "description": "", "input": {}, "output": {}},
    ],
    "fleetjobs": {
        "actions": {
            "install": {"timeout_s": 900, "secret": ["password"]},
            "status": {"inline": True, "idempotent": True},
        }
    },
}
PACKAGE = read_interface(DOCUMENT)
INSTALL = PACKAGE.action("install")


def altered(*path: str | int, value: Any) -> dict[str, Any]:
    """The document with one part replaced."""
    document = copy.deepcopy(DOCUMENT)
    part: Any = document
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value
    return document


def test_an_interface_is_read_whole() -> None:
    assert (PACKAGE.name, PACKAGE.version, PACKAGE.provider) == ("package", "1.0.0", "fleetjobs")
    assert PACKAGE.timeout == timedelta(minutes=5)
    assert list(PACKAGE.actions) == ["install", "status"]
    assert PACKAGE.document == DOCUMENT
    assert str(INSTALL) == "package.install"
    assert INSTALL.display is Display.ALWAYS
    assert INSTALL.outputs["version"].display_as == "Version"


def test_our_own_key_says_how_an_action_runs() -> None:
    status = PACKAGE.action("status")

    assert (status.inline, status.idempotent, status.timeout) == (True, True, timedelta(minutes=5))
    assert (INSTALL.inline, INSTALL.idempotent) == (False, False)
    assert INSTALL.timeout == timedelta(minutes=15)
    assert INSTALL.secrets == {"password"}


def test_a_document_of_the_wild_is_read() -> None:
    """As Choria's tools write it: every input with all keys, null for none."""
    document = {key: value for key, value in DOCUMENT.items() if key != "fleetjobs"}

    action = read_interface(document).action("install")

    assert not action.secrets
    assert action.timeout == timedelta(minutes=5)


def test_an_unknown_action_is_told_what_there_is() -> None:
    with pytest.raises(UnknownAction, match="no action 'instal'; its actions are: install, status"):
        PACKAGE.action("instal")


@pytest.mark.parametrize(
    ("document", "place"),
    [
        (None, "an interface is a JSON object"),
        ([], "an interface is a JSON object"),
        ({}, "metadata"),
        (altered("metadata", "name", value="Package"), r"\$\.metadata\.name"),
        (altered("metadata", "name", value="package\n"), r"\$\.metadata\.name"),
        (altered("metadata", "timeout", value="300"), r"\$\.metadata\.timeout"),
        (altered("metadata", "timeout", value=10**12), r"\$\.metadata\.timeout"),
        (altered("metadata", "version", value="one"), r"\$\.metadata\.version"),
        (altered("metadata", "extra", value=1), "extra"),
        (altered("actions", value={}), r"\$\.actions"),
        (altered("actions", 1, "action", value="install"), "package.install is declared twice"),
        (altered("actions", 1, "input", value=None), r"\$\.actions\[1\]\.input"),
        (altered("actions", 0, "input", "name", value="x"), "input 'name'"),
        (altered("actions", 0, "input", "name", "type", value="text"), "input 'name'"),
        (altered("actions", 0, "input", "name", "optinal", value=True), "input 'name'.*optinal"),
        (altered("actions", 0, "input", "a-b", value={"type": "string"}), "input 'a-b'"),
        (altered("actions", 0, "input", "name", "validation", value="("), "input name.*RE2"),
        (altered("actions", 0, "input", "name", "validation", value="bashsafe"), "neither"),
        (altered("actions", 0, "input", "name", "default", value=5), "default does not fit"),
        (altered("actions", 0, "input", "how", "default", value="slow"), "default does not fit"),
        (altered("actions", 0, "input", "how", "list", value=[]), "needs the strings"),
        (altered("actions", 0, "output", "log", value=1), "output 'log'"),
        (altered("actions", 0, "output", "log", "default", value=float("nan")), "not finite"),
        (altered("actions", 0, "aggregate", 0, "args", value=["x"]), "summary over 'x'"),
        (altered("actions", 0, "aggregate", 0, "args", value=["log", 1]), "options of summary"),
        (altered("actions", 0, "aggregate", 0, "function", value="median"), "aggregate"),
        (altered("fleetjobs", "actions", "remove", value={}), "has no action 'remove'"),
        (altered("fleetjobs", "actions", "install", "secret", value=["pin"]), "secret names 'pin'"),
        (altered("fleetjobs", "actions", "install", "timeout_s", value=0), "timeout_s"),
        (altered("fleetjobs", "actions", "install", "inlined", value=True), "inlined"),
        (altered("fleetjobs", "provider", value="x"), "provider"),
    ],
)
def test_a_broken_document_is_refused_and_the_place_named(document: object, place: str) -> None:
    with pytest.raises(InvalidInterface, match=place):
        read_interface(document)


@given(st.data())
def test_reading_any_document_ends_in_an_interface_or_a_refusal(data: st.DataObject) -> None:
    """One part of a good document is replaced by anything."""
    document = copy.deepcopy(DOCUMENT)
    part: Any = document
    while True:
        key = data.draw(st.sampled_from(list(part) if isinstance(part, dict) else range(len(part))))
        if not isinstance(part[key], dict | list) or not part[key] or data.draw(st.booleans()):
            break
        part = part[key]
    part[key] = data.draw(
        st.none() | st.integers() | st.floats() | st.text() | st.lists(st.text()) | st.just({})
    )

    with contextlib.suppress(InvalidInterface):
        read_interface(document)


def test_what_a_server_has_taken_is_not_tried_out_again() -> None:
    """A caller would load RE2 for patterns of inputs that nobody gives."""
    document = altered("actions", 0, "input", "name", "validation", value="(")

    assert read_interface(document, is_known=True).actions


def test_good_inputs_pass() -> None:
    INSTALL.check({"name": "openssl"})
    INSTALL.check({"name": "openssl", "attempts": 1.0, "how": "quick", "options": {"a": [None]}})


def test_an_undeclared_input_is_refused_and_the_declared_ones_named() -> None:
    with pytest.raises(InvalidInput, match="no input 'nam'; its inputs are: name, attempts, how"):
        INSTALL.check({"nam": "openssl"})


def test_process_results_passes_undeclared_if_it_is_a_boolean() -> None:
    PACKAGE.action("status").check({"process_results": True})

    with pytest.raises(InvalidInput):
        PACKAGE.action("status").check({"process_results": "$(reboot)"})


def test_a_missing_input_is_named_with_its_meaning() -> None:
    with pytest.raises(MissingInput, match=r"package\.install needs name: what to install"):
        INSTALL.check({})


def test_null_is_no_value() -> None:
    with pytest.raises(InvalidInput, match="name must be text"):
        INSTALL.check({"name": None})


def test_defaults_fill_what_is_left_out() -> None:
    assert INSTALL.with_defaults({"name": "x", "attempts": 1}) == {
        "name": "x",
        "attempts": 1,
        "how": "careful",
    }
    assert INSTALL.with_output_defaults({"version": "2", "more": 1}) == {
        "version": "2",
        "more": 1,
        "log": [],
    }


def test_a_default_cannot_be_changed_by_who_got_it() -> None:
    INSTALL.with_output_defaults({})["log"].append("changed")

    assert INSTALL.with_output_defaults({})["log"] == []


def test_secrets_are_masked_and_only_they() -> None:
    data = {"name": "openssl", "password": "hunter2"}

    assert INSTALL.masked(data) == {"name": "openssl", "password": "***"}
    assert data["password"] == "hunter2"  # noqa: S105  as secret as the manual


def test_words_become_checked_inputs() -> None:
    words = ["name=openssl", "attempts=2", 'options={"force":true}', "password=a=b"]

    assert INSTALL.parse(words) == {
        "name": "openssl",
        "attempts": 2,
        "options": {"force": True},
        "password": "a=b",
    }


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["openssl"], "'openssl' is not of the form name=value"),
        (["nam=openssl"], "no input 'nam'"),
        (["name=a", "name=b"], "name is given twice"),
        (["name=a", "attempts=many"], "attempts must be a whole number"),
        (["name=a;b"], "name is not safe"),
        (["name=a", "how=slow"], "how must be one of quick, careful"),
    ],
)
def test_wrong_words_are_explained(words: list[str], complaint: str) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        INSTALL.parse(words)


def test_words_that_leave_out_what_is_needed_are_refused() -> None:
    with pytest.raises(MissingInput, match="needs name"):
        INSTALL.parse(["attempts=2"])


def test_an_interface_survives_its_own_document() -> None:
    again = read_interface(json.loads(json.dumps(PACKAGE.document)))

    assert again == PACKAGE
