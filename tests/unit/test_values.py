"""Values: JSON that every language, program and database reads alike."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetjobs.errors import InvalidInput
from fleetjobs.values import DEEPEST, LARGEST, SMALLEST, check_value, read_json

plain = (
    st.none()
    | st.booleans()
    | st.integers(SMALLEST, LARGEST)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
)
documents = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(
            st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@given(documents)
def test_plain_json_passes(value: Any) -> None:
    check_value(value, "x")

    assert read_json(json.dumps(value), "x") == value


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        2**63,
        -(2**63) - 1,
        "a\0b",
        "\ud800",
        b"bytes",
        {1: "one"},
        {"a\0": 1},
        {1, 2},
        object,
    ],
    ids=repr,
)
@pytest.mark.parametrize("wrap", [lambda value: value, lambda value: {"in": [value]}])
def test_what_would_break_later_is_refused(value: Any, wrap: Any) -> None:
    with pytest.raises(InvalidInput, match=r"^secret "):
        check_value(wrap(value), "secret")


def test_nesting_has_an_end() -> None:
    check_value(nested(DEEPEST), "x")

    with pytest.raises(InvalidInput, match="deeper than 64 levels"):
        check_value(nested(DEEPEST + 1), "x")


def test_a_value_that_holds_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)

    with pytest.raises(InvalidInput, match="deeper"):
        check_value(value, "x")


def test_a_small_thing_that_unfolds_to_a_huge_one_is_refused() -> None:
    value: list[Any] = ["lol"]
    for _ in range(20):
        value = [value] * 10

    with pytest.raises(InvalidInput, match="more than 1000000 values"):
        check_value(value, "x")


@pytest.mark.parametrize(
    "text", ["", "{", "nope", "'x'", "[" * 100_000, '{"a":1,}', "9" * 5000, "NaN", '{"a":1,"a":1}']
)
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"^option "):
        read_json(text, "option")


def test_a_key_that_is_there_twice_is_named_as_such() -> None:
    with pytest.raises(InvalidInput, match="x has a key twice"):
        read_json('{"deep": [{"a": 1, "a": 2}]}', "x")
