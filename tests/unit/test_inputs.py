"""Inputs: SimpleRPC's types and checks."""

import contextlib
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetjobs.errors import InvalidInput
from fleetjobs.inputs import SHELLSAFE, Input, InputType, is_ipv4, is_ipv6, is_shellsafe


def make_input(kind: InputType, **fields: Any) -> Input:
    return Input(
        **{
            "name": "it",
            "type": kind,
            "prompt": "It",
            "description": "",
            "optional": False,
            "default": None,
            "maxlength": 0,
            "validation": None,
            "choices": (),
            **fields,
        }
    )


SCHEMAS: dict[InputType, dict[str, Any]] = {
    InputType.STRING: {"type": "string", "maxLength": 5},
    InputType.LIST: {"enum": ["red", "green"]},
    InputType.BOOLEAN: {"type": "boolean"},
    InputType.INTEGER: {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
    InputType.FLOAT: {"type": "number"},
    InputType.NUMBER: {"type": "number"},
    InputType.HASH: {"type": "object"},
    InputType.ARRAY: {"type": "array"},
}

values = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-5, 5).map(float)
    | st.sampled_from(["red", "green", "blue", ""])
    | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
    | st.lists(st.integers(0, 5), max_size=3)
    | st.dictionaries(st.sampled_from("abc"), st.integers(0, 5), max_size=3)
)


@given(st.sampled_from(sorted(SCHEMAS)), values)
def test_types_mean_what_json_schema_means_by_them(kind: InputType, value: Any) -> None:
    ours = make_input(kind, choices=("red", "green"), maxlength=5)
    theirs = jsonschema.Draft202012Validator(SCHEMAS[kind])

    try:
        ours.check(value)
    except InvalidInput:
        assert not theirs.is_valid(value)
    else:
        assert theirs.is_valid(value)


@pytest.mark.parametrize("kind", InputType)
@pytest.mark.parametrize("value", [None, float("nan"), 2**63, "\0", b"x", object], ids=repr)
def test_no_type_takes_what_json_has_not(kind: InputType, value: Any) -> None:
    with pytest.raises(InvalidInput):
        make_input(kind, choices=("red",)).check(value)


def test_a_refusal_does_not_tell_the_value() -> None:
    """It may be a secret, and refusals are logged and sent."""
    for kind in set(InputType) - {InputType.ANY}:
        with pytest.raises(InvalidInput) as caught:
            make_input(kind, choices=("red",), maxlength=3).check(
                "hunter2" if kind is not InputType.STRING else "hunter22"
            )
        assert "hunter" not in str(caught.value)


def test_text_without_a_length_of_its_own_is_still_bounded() -> None:
    make_input(InputType.STRING).check("x" * 4_000_000)

    with pytest.raises(InvalidInput, match="10000000 characters"):
        make_input(InputType.STRING).check("x" * 10_000_000)


def test_length_is_counted_in_characters() -> None:
    make_input(InputType.STRING, maxlength=4).check("žluť")


@pytest.mark.parametrize("sign", SHELLSAFE)
def test_shellsafe_refuses_what_a_shell_acts_on(sign: str) -> None:
    named = make_input(InputType.STRING, validation="shellsafe")

    named.check("openssl & co")
    with pytest.raises(InvalidInput, match="safe for a shell"):
        named.check(f"openssl{sign}reboot")


@pytest.mark.parametrize(
    ("text", "four", "six"),
    [
        ("127.0.0.1", True, False),
        ("127.0.0.01", False, False),
        ("1.2.3", False, False),
        ("::1", False, True),
        ("::ffff:1.2.3.4", False, True),
        ("fe80::1%eth0", False, False),
        ("fe80::1%$(reboot)", False, False),
        ("", False, False),
        ("127.0.0.1\n", False, False),
    ],
)
def test_addresses_are_told_apart(text: str, four: object, six: object) -> None:
    assert is_ipv4(text) is four
    assert is_ipv6(text) is six

    either = make_input(InputType.STRING, validation="ipaddress")
    if four or six:
        either.check(text)
    else:
        with pytest.raises(InvalidInput, match="not an IP address"):
            either.check(text)


@pytest.mark.parametrize("name", ["ipv4address", "ipv6address"])
def test_the_validation_is_named_when_it_fails(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"is not an IPv[46] address"):
        make_input(InputType.STRING, validation=name).check("localhost")


def test_a_pattern_validates_even_where_any_length_is_allowed() -> None:
    named = make_input(InputType.STRING, validation=r"\A[a-z]+\z")

    named.check("openssl")
    with pytest.raises(InvalidInput, match="does not match"):
        named.check("openssl\n")


@given(st.text())
def test_a_shellsafe_text_has_none_of_the_signs(text: str) -> None:
    assert is_shellsafe(text) == (not set(text) & set("`$;|><") and "&&" not in text)


@pytest.mark.parametrize(
    ("kind", "word", "value"),
    [
        (InputType.STRING, "5", "5"),
        (InputType.STRING, "", ""),
        (InputType.LIST, "red", "red"),
        (InputType.BOOLEAN, "Yes", True),
        (InputType.BOOLEAN, "0", False),
        (InputType.INTEGER, "-5", -5),
        (InputType.NUMBER, "5", 5),
        (InputType.NUMBER, "1e3", 1000.0),
        (InputType.FLOAT, ".5", 0.5),
        (InputType.HASH, '{"a": [1]}', {"a": [1]}),
        (InputType.ARRAY, "[1, 2]", [1, 2]),
        (InputType.ANY, "1.10", "1.10"),
        (InputType.ANY, '"1"', "1"),
        (InputType.ANY, "[1]", [1]),
    ],
)
def test_words_become_values(kind: InputType, word: str, value: Any) -> None:
    parsed = make_input(kind).parse(word)

    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (InputType.BOOLEAN, "maybe"),
        (InputType.INTEGER, "1.0"),
        (InputType.INTEGER, "1_000"),
        (InputType.INTEGER, "٣"),
        (InputType.INTEGER, " 1"),
        (InputType.FLOAT, "nan"),
        (InputType.NUMBER, "inf"),
        (InputType.HASH, "{'a': 1}"),
        (InputType.HASH, '{"a": 1, "a": 2}'),
        (InputType.ANY, "[1"),
    ],
)
def test_words_of_another_type_are_refused(kind: InputType, word: str) -> None:
    with pytest.raises(InvalidInput, match=r"^it "):
        make_input(kind).parse(word)


def test_a_plain_word_for_a_list_says_how_one_is_written() -> None:
    with pytest.raises(InvalidInput, match=r"""^it is written as JSON, '\["one", "two"\]',"""):
        make_input(InputType.ARRAY).parse("/var/log/syslog")


@given(st.sampled_from(InputType), st.text(max_size=30))
def test_any_word_is_parsed_or_refused(kind: InputType, word: str) -> None:
    declared = make_input(kind, choices=("red",))

    with contextlib.suppress(InvalidInput):
        declared.check(declared.parse(word))
