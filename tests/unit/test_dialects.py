"""Interfaces of other people: as strict and as lenient as what they were written against."""

import copy
import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetjobs.errors import InvalidInput, InvalidInterface
from fleetjobs.interfaces import Action, Interface, read_interface
from tests.wild import ddl

TYPES = ["string", "list", "boolean", "integer", "float", "number", "hash", "array"]
KINDS = {"enum": [*TYPES, "Hash", "Array"]}
TEXT = {"type": ["string", "null"]}
NAME = {"type": "string", "pattern": r"\A[a-z0-9_]{1,64}\Z"}
#: what is known of the schema mcorpc/ddl/v1/agent, and what no agent could do without
SCHEMA = {
    "type": "object",
    "required": ["metadata", "actions"],
    "properties": {
        "metadata": {
            "type": "object",
            "required": ["name", "version", "timeout"],
            "properties": {
                "name": NAME,
                "version": {"type": "string", "pattern": r"\A(\d+\.)?(\d+\.)?(\*|\d+)\Z"},
                "timeout": {"type": "integer", "minimum": 1},
                "description": TEXT,
                "author": TEXT,
                "license": TEXT,
                "url": TEXT,
                "service": {"type": ["boolean", "null"]},
            },
        },
        "actions": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["action", "input", "output"],
                "properties": {
                    "action": NAME,
                    "description": TEXT,
                    "aggregate": {"type": ["array", "null"]},
                    "display": {"enum": ["ok", "failed", "always", None]},
                    "input": {
                        "type": ["object", "null"],
                        "additionalProperties": {
                            "type": "object",
                            "required": ["type"],
                            "properties": {
                                "type": KINDS,
                                "prompt": TEXT,
                                "description": TEXT,
                                "optional": {"type": ["boolean", "null"]},
                                "validation": TEXT,
                                "maxlength": {"type": ["number", "null"], "minimum": 0},
                                "list": {"type": ["array", "null"], "items": {"type": "string"}},
                            },
                        },
                    },
                    "output": {
                        "type": ["object", "null"],
                        "additionalProperties": {
                            "type": "object",
                            "properties": {
                                "description": TEXT,
                                "display_as": TEXT,
                            },
                        },
                    },
                },
            },
        },
    },
}
anything = (
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.sampled_from(["", "string", "list", "Hash", "always", "ok", "1.2", "*", "a_b", "1.2.3.4"])
    | st.lists(st.sampled_from(["a", "b"]), max_size=2)
    | st.just({})
)
PLACES = [
    ("metadata",),
    *(("metadata", key) for key in ddl("x")["metadata"] if key != "provider"),
    ("actions",),
    *(("actions", 0, key) for key in ("action", "description", "display", "input", "output")),
    *(("actions", 0, "input", "msg", key) for key in ("type", "prompt", "optional", "list")),
    *(("actions", 0, "input", "msg", key) for key in ("maxlength", "description", "unheard_of")),
    *(("actions", 0, "output", "tone", key) for key in ("description", "display_as", "type")),
    ("actions", 0, "aggregate"),
]


def altered(document: dict[str, Any], path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    part: Any = document
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value
    return document


@pytest.mark.spec("EA-12")
@given(st.sampled_from(PLACES), anything)
def test_a_document_is_read_if_its_schema_takes_it(
    path: tuple[str | int, ...], value: object
) -> None:
    """Except for a list without words to choose from, which no value could ever fit."""
    document = altered(ddl("wild"), path, value)
    fits = jsonschema.Draft7Validator(SCHEMA).is_valid(document)

    if fits and not _has_empty_list(document):
        read_interface(document)
    else:
        with pytest.raises(InvalidInterface):
            read_interface(document)


def _has_empty_list(document: dict[str, Any]) -> bool:
    return any(
        declared["type"] == "list" and not declared.get("list")
        for action in document["actions"]
        for declared in (action["input"] or {}).values()
    )


def declared(**fields: Any) -> Interface:
    """An interface whose input says this, too."""
    document = ddl("wild")
    document["actions"][0]["input"]["msg"] |= fields
    return read_interface(document)


def say(**fields: Any) -> Action:
    return declared(**fields).action("say")


@pytest.mark.spec("EA-09")
@pytest.mark.parametrize("name", ["bashsafe", "service_name", "no spaces", "abc.*"])
def test_a_validation_that_choria_does_not_know_passes_and_is_told_of(name: str) -> None:
    interface = declared(validation=name)

    interface.action("say").check({"msg": "; rm -rf /"})
    assert f"validation {name!r} is none that Choria knows" in interface.left_out[0]


@pytest.mark.spec("EA-09")
@pytest.mark.parametrize("provider", ["fleetjobs", "implemented_by"])
def test_other_providers_refuse_it(provider: str) -> None:
    document = ddl("wild", provider=provider)
    document["actions"][0]["input"]["msg"]["validation"] = "bashsafe"

    with pytest.raises(InvalidInterface, match="bashsafe"):
        read_interface(document)


@pytest.mark.parametrize("name", ["shellsafe", "ipv4address", "ipv6address", "ipaddress"])
def test_a_validation_that_choria_knows_is_looked_at(name: str) -> None:
    with pytest.raises(InvalidInput):
        say(validation=name).check({"msg": "a|b"})


@pytest.mark.spec("EA-12")
def test_patterns_are_those_of_re2() -> None:
    action = say(validation=r"\A[a-z]+\z")

    action.check({"msg": "abc"})
    with pytest.raises(InvalidInput):
        action.check({"msg": "abc\n"})
    with pytest.raises(InvalidInterface, match="RE2"):
        say(validation="(?!a)b")


@pytest.mark.spec("EA-12")
@pytest.mark.parametrize("validation", ["^[a-z]+$", "shellsafe"])
def test_without_a_length_text_is_not_looked_at(validation: str) -> None:
    interface = declared(validation=validation, maxlength=0)

    interface.action("say").check({"msg": "$(id)"})
    assert "its maxlength is 0" in interface.left_out[0]


def test_for_scripts_text_without_a_length_is_looked_at() -> None:
    document = ddl("wild", provider="implemented_by")
    document["actions"][0]["input"]["msg"]["maxlength"] = 0

    with pytest.raises(InvalidInput):
        read_interface(document).action("say").check({"msg": "A"})


@pytest.mark.spec("EA-08")
def test_process_results_passes_and_what_is_not_declared_does_not() -> None:
    say().check({"msg": "a", "process_results": True})

    with pytest.raises(InvalidInput, match="no input 'other'"):
        say().check({"other": 1})


@pytest.mark.spec("EA-12")
def test_whole_numbers_may_be_written_as_others_and_lists_hold_strings() -> None:
    document = ddl("wild")
    document["actions"][0]["input"] = {
        "count": {"type": "integer"},
        "how": {"type": "list", "list": ["1", "2"]},
    }
    action = read_interface(document).action("say")

    action.check({"count": 1.0, "how": "1"})
    with pytest.raises(InvalidInput):
        action.check({"count": 1, "how": 1})


def test_what_means_nothing_is_left_out_and_told_of() -> None:
    document = ddl("wild", extra=1)
    document["actions"][0]["output"]["tone"]["type"] = "colour"
    document["actions"][0]["aggregate"] += [
        {"function": "median", "args": ["result"]},
        {"function": "sum", "args": ["gone"]},
    ]

    interface = read_interface(document)

    assert [what.partition(":")[2] for what in interface.left_out] == [
        " the key 'extra'",
        " type 'colour'",
        " aggregate {'function': 'median', 'args': ['result']}",
        " aggregate {'function': 'sum', 'args': ['gone']}",
    ]
    assert [each.function for each in interface.action("say").aggregates] == ["summary"]


def test_a_default_that_does_not_fit_is_its_authors_affair() -> None:
    assert say(default="NO").with_defaults({}) == {"msg": "NO"}


def test_reading_changes_no_document_and_a_server_reads_the_same() -> None:
    document = ddl("wild", extra=None)
    kept = copy.deepcopy(document)

    interface = read_interface(document)

    assert document == kept
    assert read_interface(json.loads(json.dumps(interface.document))) == interface
