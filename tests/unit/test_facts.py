"""Facts: conditions as MCollective's users write them."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetjobs.errors import InvalidTarget
from fleetjobs.facts import find_fact, read_condition

FACTS: dict[str, Any] = {
    "kernel": "Linux",
    "os": {"family": "Debian", "release": {"major": "12"}},
    "cpus": 8,
    "load": 0.25,
    "virtual": False,
    "swap": None,
    "addresses": ["10.0.0.1", "192.168.1.5"],
    "disks": [{"name": "sda", "bytes": 10}, {"name": "sdb", "bytes": 20}],
    "flat.name": "flat",
    "title": "Red Hat",
}


@pytest.mark.parametrize(
    "text",
    [
        "kernel=Linux",
        "kernel==Linux",
        " kernel = Linux ",
        "os.family=Debian",
        "os.release.major>=9",
        "os.release.major<100",
        "cpus=8",
        "cpus=8.0",
        "cpus>4",
        "cpus<=8",
        "load<1",
        "virtual=false",
        "kernel!=Darwin",
        "kernel=~^Lin",
        "kernel=/^lin|^Lin/",
        "kernel!~/BSD$/",
        "kernel!=/BSD$/",
        "addresses=10.0.0.1",
        "addresses=~^192",
        "addresses.1=192.168.1.5",
        "disks.1.name=sdb",
        "flat.name=flat",
        "title='Red Hat'",
        'title="Red Hat"',
        "title=Red Hat",
        "kernel>Kernel",
    ],
)
def test_these_conditions_hold(text: str) -> None:
    assert read_condition(text).holds(FACTS)


@pytest.mark.parametrize(
    "text",
    [
        "kernel=linux",
        "kernel!=Linux",
        "cpus<4",
        "cpus<10foo",
        "os=Debian",
        "os.family.more=x",
        "swap=None",
        "swap!=5",
        "missing=x",
        "missing!=x",
        "missing!~x",
        "addresses!=10.0.0.1",
        "addresses.7=x",
        "addresses.-1=192.168.1.5",
        "disks=sda",
        "kernel!~^L",
    ],
)
def test_these_do_not(text: str) -> None:
    assert not read_condition(text).holds(FACTS)


@pytest.mark.parametrize(
    "text",
    ["", "kernel", "=x", "kernel=", "kernel==", "kernel=~", "a b=c", "kernel===x", "(a)=b", "a=>5"],
)
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(InvalidTarget, match="not of the form fact=value"):
        read_condition(text)


@pytest.mark.parametrize("text", ["a=/(/", "a=~[", "a" + ".b" * 40 + "=1", "a=" + "x" * 1000])
def test_bounds_and_patterns_are_checked(text: str) -> None:
    with pytest.raises(InvalidTarget):
        read_condition(text)


def test_a_negation_holds_exactly_where_the_fact_is_told_and_the_comparison_fails() -> None:
    for fact in ("kernel", "cpus", "addresses", "title"):
        equal, other = read_condition(f"{fact}=8"), read_condition(f"{fact}!=8")
        assert equal.holds(FACTS) != other.holds(FACTS)


@pytest.mark.timeout(10)
def test_a_pattern_that_explodes_elsewhere_is_harmless() -> None:
    assert not read_condition("x=~(a+)+$").holds({"x": "a" * 50_000 + "!"})


facts = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.text(max_size=30) | st.from_regex(r"[abc.]{1,5}(==|=~|<=|>=|=|<|>|!=|!~).{1,5}"),
    st.dictionaries(st.sampled_from("abc"), facts),
)
def test_any_text_is_a_condition_or_refused(text: str, known: dict[str, Any]) -> None:
    with contextlib.suppress(InvalidTarget):
        read_condition(text).holds(known)


@given(st.text(max_size=20), st.dictionaries(st.text(max_size=3), facts))
def test_looking_for_a_fact_always_ends(name: str, known: dict[str, Any]) -> None:
    find_fact(known, name)
