"""Compounds: and, or, not and ( ) as MCollective's users write them."""

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetjobs.compounds import read_compound
from fleetjobs.errors import InvalidTarget

FACTS = {"os": {"family": "Debian"}, "cpus": 8, "title": "Red Hat"}
CLASSES = {"web", "apache::mod::php"}


@pytest.mark.parametrize(
    "text",
    [
        "web",
        "apache::mod::php",
        "/^apache::/",
        "not db",
        "!db",
        "! db",
        "!!web",
        "not not web",
        "web and os.family=Debian",
        "db or web",
        "db and db or web",
        "web or db and db",
        "not db and web",
        "not (db and web)",
        "(web and (cpus>=8 or db))",
        "cpus >= 8 and web",
        "title='Red Hat' and web",
        'title="Red Hat"',
        "title=/Red (Hat|Cap)/ and web",
        "cpus!=4",
        "(web)and(web)",
        "note",
    ],
)
def test_these_expressions_hold(text: str) -> None:
    assert read_compound(text)(FACTS, CLASSES | {"note"})


@pytest.mark.parametrize(
    "text",
    [
        "db",
        "not web",
        "web and db",
        "not (web or db)",
        "db or db and web",
        "/^nginx/",
        "os.family=RedHat",
        "not web or db",
    ],
)
def test_these_do_not(text: str) -> None:
    assert not read_compound(text)(FACTS, CLASSES)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "ends too early"),
        ("web and", "ends too early"),
        ("(web", "ends too early"),
        ("not", "ends too early"),
        ("web db", "'db' stands where it makes no sense"),
        ("and web", "'and' stands where"),
        ("web)", "'\\)' stands where"),
        ("()", "'\\)' stands where"),
        ("web and or db", "'or' stands where"),
        ("cpus=", "from '=' on"),
        ("'web'", "cannot read the expression"),
        ("//", "cannot read the expression"),
        ("/(/", "RE2"),
        ("title='Red", "cannot read"),
        ("fstat('/etc/hosts').md5=/x/", "cannot read the expression from"),
        ("(" * 40 + "web" + ")" * 40, "nested deeper"),
        ("not " * 40 + "web", "nested deeper"),
        ("web or " * 1000 + "web", "4000 are allowed"),
    ],
)
def test_what_cannot_be_read_is_explained(text: str, complaint: str) -> None:
    with pytest.raises(InvalidTarget, match=complaint):
        read_compound(text)


Formula = tuple[str, Callable[[dict[str, bool]], bool]]


def atom(name: str) -> Formula:
    return name, lambda known: known[name]


def negation(inner: Formula) -> Formula:
    return f"not ({inner[0]})", lambda known: not inner[1](known)


def both(left: Formula, right: Formula) -> Formula:
    return f"({left[0]}) and ({right[0]})", lambda known: left[1](known) and right[1](known)


def either(left: Formula, right: Formula) -> Formula:
    return f"({left[0]}) or ({right[0]})", lambda known: left[1](known) or right[1](known)


formulas = st.recursive(
    st.sampled_from("abc").map(atom),
    lambda inner: (
        inner.map(negation) | st.builds(both, inner, inner) | st.builds(either, inner, inner)
    ),
    max_leaves=8,
)


@given(formulas, st.fixed_dictionaries(dict.fromkeys("abc", st.booleans())))
def test_expressions_mean_what_logic_means(formula: Formula, known: dict[str, bool]) -> None:
    text, meaning = formula

    assert read_compound(text)({}, {name for name in "abc" if known[name]}) == meaning(known)


pieces = st.sampled_from(
    ["a", "b=1", "/x/", "and", "or", "not", "!", "(", ")", "=", "~", "'", '"', "/", " ", "c>=2"]
)


@given(st.text(max_size=40) | st.lists(pieces, max_size=15).map(" ".join))
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidTarget):
        read_compound(text)({"b": 1, "c": 2}, {"a"})


@pytest.mark.timeout(5)
@pytest.mark.parametrize("piece", ["a", " ", "!", "(", "/", "'", "a ", "a=", "/a", "=~", "a=b"])
def test_long_rubbish_is_refused_at_once(piece: str) -> None:
    with contextlib.suppress(InvalidTarget):
        read_compound(piece * (4000 // len(piece)))
