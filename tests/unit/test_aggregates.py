"""Aggregates: what many replies come to."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetjobs.aggregates import AggregateResult, summarize
from fleetjobs.interfaces import read_interface


def aggregate(function: str, values: list[Any], **options: Any) -> AggregateResult:
    """The one result of a function over these values of the output `it`."""
    document = {
        "metadata": {"name": "demo", "version": "1", "timeout": 5},
        "actions": [
            {
                "action": "ask",
                "input": {},
                "output": {"it": {"display_as": "It"}},
                "aggregate": [{"function": function, "args": ["it", options]}],
            }
        ],
    }
    action = read_interface(document).action("ask")
    [result] = summarize(action, [{"it": value, "other": 1} for value in values])
    return result


def test_a_summary_counts_values_by_how_often_they_came() -> None:
    result = aggregate("summary", ["1.0", "1.1", "1.1", None, True, 5])

    assert result.title == "Summary of It"
    assert result.value == {"1.1": 2, "1.0": 1, "5": 1, "true": 1}
    assert list(result.value) == ["1.1", "1.0", "5", "true"]
    assert result.lines[0] == " 1.1 = 2"


def test_a_summary_counts_the_elements_of_arrays() -> None:
    assert aggregate("summary", [["a", "b"], ["a"]]).value == {"a": 2, "b": 1}


def test_a_boolean_summary_gives_them_titles() -> None:
    result = aggregate("boolean_summary", [True, False, True, "x"], true="Up", false="Down")

    assert result.value == {"Up": 2, "Down": 1}


def test_average_and_sum_take_numbers_only() -> None:
    values = [1, 2.5, True, "7", None]

    assert aggregate("average", values).value == 1.75
    assert aggregate("sum", values).value == 3.5


@pytest.mark.parametrize("function", ["average", "sum", "chart"])
def test_of_nothing_there_is_nothing_to_tell(function: str) -> None:
    result = aggregate(function, ["x", None])

    assert (result.value, result.lines) == (None, ())


def test_a_chart_shows_how_numbers_are_spread() -> None:
    result = aggregate("chart", [0, 0, 0, 5, 10])

    assert result.value == {"low": 0, "high": 10, "counts": [3, 0, 0, 0, 0, 1, 0, 0, 0, 1]}
    assert result.lines == ("0 █▁▁▁▁▃▁▁▁▃ 10",)


def test_a_format_is_used() -> None:
    assert aggregate("average", [1, 2], format="about %.1f s").lines == ("about 1.5 s",)


@pytest.mark.parametrize("template", ["%999999999d", "%s %s", "%(x)s", "%", "%d%", 5, "no %c"])
def test_a_harmful_format_is_not(template: Any) -> None:
    assert aggregate("sum", [1, 2], format=template).lines == ("3",)


def test_a_format_for_another_type_is_not_used() -> None:
    assert aggregate("chart", [1], format="%d").lines == ("1 █▁▁▁▁▁▁▁▁▁ 1",)


def test_replies_without_the_output_do_not_count() -> None:
    document = {
        "metadata": {"name": "demo", "version": "1", "timeout": 5},
        "actions": [
            {
                "action": "ask",
                "input": {},
                "output": {"it": {}},
                "aggregate": [{"function": "summary", "args": ["it"]}],
            }
        ],
    }

    [result] = summarize(read_interface(document).action("ask"), [{}, {"it": 1}])

    assert result.value == {"1": 1}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@given(
    st.sampled_from(["summary", "average", "sum", "boolean_summary", "chart"]),
    st.lists(json_values, max_size=10),
)
def test_no_reply_breaks_an_aggregate(function: str, values: list[Any]) -> None:
    aggregate(function, values)
