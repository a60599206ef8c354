"""Patterns: the dialect of the wild, in linear time."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetjobs import patterns
from fleetjobs.errors import InvalidPattern


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (r"\A[a-z]+\z", "web", True),
        (r"\A[a-z]+\z", "web\n", False),
        (r"^[a-z]+$", "web\n", False),
        ("eb", "web1", True),
        ("é", "café", True),
        (r"^\w+$", "", False),
    ],
)
def test_patterns_search_as_re2_does(pattern: str, text: str, found: object) -> None:
    assert patterns.compile(pattern).search(text) is found


@pytest.mark.parametrize(
    "text", ["(", "[z-a]", r"(?=look)", r"(a)\1", r"\Z", "((a{99}){99}){99}", "\ud800", "a" * 1001]
)
def test_what_re2_does_not_take_is_refused(text: str) -> None:
    with pytest.raises(InvalidPattern):
        patterns.compile(text)


@pytest.mark.timeout(5)
def test_a_pattern_that_explodes_elsewhere_is_harmless() -> None:
    assert not patterns.compile("(a+)+$").search("a" * 50_000 + "!")


@given(st.text(max_size=50), st.text(max_size=50))
def test_any_text_is_a_pattern_or_refused(pattern: str, text: str) -> None:
    with contextlib.suppress(InvalidPattern):
        patterns.compile(pattern).search(text)


def test_a_refusal_writes_nothing_by_itself(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidPattern):
        patterns.compile("(")

    assert capfd.readouterr() == ("", "")
