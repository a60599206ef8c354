"""References in the data of a leg: found, looked up, put in, and refused if they lead nowhere."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetjobs.errors import InvalidReference
from fleetjobs.plans.references import (
    fill,
    find_references,
    is_plain,
    look_up,
    read_reference,
)

REPLY = {
    "data": {"path": "/x", "size": 3, "disks": [{"id": "a"}, {"id": "b"}], "none": None},
    "statusmsg": "OK",
    "node": "hv1",
}


def test_references_are_found_anywhere_in_the_data_each_once() -> None:
    data = {
        "a": "${legs.one.data.path}",
        "b": ["at ${legs.one.node} and ${legs.two.statusmsg}", {"c": "${legs.one.data.path}"}],
        "d": "$${legs.three.data.x} costs $5, {} and $",
        "e": 7,
    }

    found = find_references(data)

    assert [str(one) for one in found] == [
        "${legs.one.data.path}",
        "${legs.one.node}",
        "${legs.two.statusmsg}",
    ]
    assert [one.leg for one in found] == ["one", "one", "two"]
    assert not is_plain(data)
    assert is_plain({"a": "$HOME", "b": [1, None, "{x}"]})
    assert not is_plain(["$${x}"])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("legs.one.data.path", "/x"),
        ("legs.one.data.size", 3),
        ("legs.one.data.disks.1.id", "b"),
        ("legs.one.data.disks", [{"id": "a"}, {"id": "b"}]),
        ("legs.one.data", REPLY["data"]),
        ("legs.one.data.none", None),
        ("legs.one.statusmsg", "OK"),
        ("legs.one.node", "hv1"),
    ],
)
def test_a_reference_alone_keeps_the_type_of_its_value(text: str, value: object) -> None:
    found = look_up(read_reference(text), REPLY)

    assert found == value
    assert fill({"x": [f"${{{text}}}"]}, {text: found}) == {"x": [value]}


@pytest.mark.parametrize(
    ("value", "text"), [("/x", "/x"), (3, "3"), (2.5, "2.5"), (True, "true"), (False, "false")]
)
def test_inside_a_text_a_single_value_becomes_text(value: object, text: str) -> None:
    assert fill("<${legs.one.data.x}>", {"legs.one.data.x": value}) == f"<{text}>"


@pytest.mark.parametrize(
    ("value", "said"), [(None, "is nothing"), ([1], "is a list"), ({"a": 1}, "is an object")]
)
def test_inside_a_text_nothing_else_can_stand(value: object, said: str) -> None:
    with pytest.raises(InvalidReference, match=said):
        fill("<${legs.one.data.x}>", {"legs.one.data.x": value})


def test_two_dollars_stand_for_one() -> None:
    assert fill("$${legs.one.data.x} $$ $", {}) == "${legs.one.data.x} $$ $"


def test_values_are_put_in_as_they_are_and_never_read_again() -> None:
    """What a node answered must not be able to refer to anything itself."""
    values = {"legs.a.data.x": "${legs.b.data.secret}", "legs.b.data.secret": "s3cret"}

    assert fill(["${legs.a.data.x}", "<${legs.a.data.x}>"], values) == [
        "${legs.b.data.secret}",
        "<${legs.b.data.secret}>",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "${}",
        "${x}",
        "${legs}",
        "${legs.one}",
        "${legs..data}",
        "${legs.1one.data}",
        "${legs.one.reply.x}",
        "${legs.one.node.x}",
        "${legs.one.data.}",
        "${legs.one.data.a..b}",
        "${legs.one.data.a b}",
        "${legs.one.data",
        "${",
        "${legs.one.data.${x}}",
        "${params.x}",
    ],
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(InvalidReference):
        find_references({"x": text})


def test_a_name_cannot_be_a_reference() -> None:
    with pytest.raises(InvalidReference, match="not a name"):
        find_references({"${legs.one.data.x}": 1})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("legs.one.data.pth", "data has no 'pth'; it has disks, none, path, size"),
        ("legs.one.data.disks.2", "data.disks is a list of 2; it has no '2'"),
        ("legs.one.data.disks.x", "is a list of 2"),
        ("legs.one.data.path.x", "data.path is a single value"),
        ("legs.one.data.none.x", "single value"),
    ],
)
def test_a_path_that_leads_nowhere_is_named_without_values(text: str, said: str) -> None:
    with pytest.raises(InvalidReference, match=said) as caught:
        look_up(read_reference(text), REPLY)
    assert f"${{{text}}}" in str(caught.value)
    assert "/x" not in str(caught.value)


def test_a_reference_without_a_value_is_refused_when_it_is_filled() -> None:
    with pytest.raises(InvalidReference, match="has no value"):
        fill("${legs.one.data.x}", {})
    with pytest.raises(InvalidReference, match="there is no node"):
        look_up(read_reference("legs.one.node"), {"data": {}})


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@settings(deadline=None)
@given(json_values)
def test_nothing_but_references_is_ever_changed(data: object) -> None:
    if is_safe(data):
        assert fill(data, {}) == data


def is_safe(data: object) -> bool:
    """Whether the data may be filled: no name looks like a reference, no text is one."""
    try:
        return is_plain(data)
    except InvalidReference:
        return False
