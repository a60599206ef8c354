"""Plans are laid out: each leg after what it needs, and what cannot be is refused by name."""

import random
import time
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetjobs.errors import InvalidPlan
from fleetjobs.plans.documents import LEGS_MOST, Plan
from fleetjobs.plans.shapes import NEEDS_MOST, arrange, leg_id

Json = dict[str, Any]


def leg(key: str, *needs: str, **more: Any) -> Json:
    """A leg as in a document."""
    need = [{"leg": name} for name in needs]
    return {"key": key, "agent": "demo", "action": "echo", "needs": need, **more}


def group(key: str, *needs: str, **more: Any) -> Json:
    """A group as in a document."""
    return {"key": key, "needs": [{"leg": name} for name in needs], **more}


def plan(*legs: Json, groups: Iterable[Json] = (), **more: Any) -> Plan:
    """A plan of these."""
    return msgspec.convert({"legs": legs, "groups": list(groups), **more}, Plan)


def keys(made: Plan) -> list[str]:
    """The legs in the order of the shape."""
    return [placed.leg.key for placed in arrange(made).legs]


def test_legs_come_after_what_they_need_and_else_as_written() -> None:
    assert keys(plan(leg("d", "b"), leg("c"), leg("b", "a"), leg("a"), leg("e"))) == [
        "c",
        "a",
        "b",
        "d",
        "e",
    ]


def test_a_leg_needs_what_its_groups_need() -> None:
    shape = arrange(
        plan(
            leg("a"),
            leg("b"),
            leg("c", "b", group="inner"),
            leg("end", "outer"),
            groups=[group("outer", "a"), group("inner", "b", group="outer")],
        )
    )

    placed = {item.leg.key: item for item in shape.legs}
    assert [need.leg for need in placed["c"].needs] == ["b", "a"]
    assert placed["c"].groups == ("inner", "outer")
    assert shape.members == {"outer": ("inner",), "inner": ("c",)}
    assert [item.key for item in shape.groups] == ["outer", "inner"]
    assert shape.following("a") == ["c", "end"]
    assert shape.preceding("end") == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (plan(leg("a", "a")), "a needs itself"),
        (plan(leg("a", "b"), leg("b", "a")), "circle: a waits for b waits for a"),
        (plan(leg("a"), leg("make_x"), leg("b", "mke_x")), "did you mean make_x"),
        (plan(leg("a"), leg("a")), "the key a is there twice"),
        (plan(leg("a"), groups=[group("a")]), "the key a is there twice"),
        (plan(leg("a"), groups=[group("g")]), "no leg is in the group g"),
        (plan(leg("a", group="h"), groups=[group("g")]), "'h', which does not exist"),
        (plan(leg("a"), leg("b", group="a")), "which is a leg"),
        (plan(leg("a", "g", group="g"), groups=[group("g")]), "needs g, the group it is in"),
        (
            plan(leg("a", group="g"), groups=[group("g", group="h"), group("h", group="g")]),
            "inside itself: g in h in g",
        ),
        (plan(leg("a"), leg("b", "a", "a")), "b needs a twice"),
        (
            plan(
                leg("a"),
                leg("b", group="g", needs=[{"leg": "a", "when": "failed"}]),
                groups=[group("g", "a")],
            ),
            "needs it in another",
        ),
        (
            plan(
                leg("a", group="g"), leg("b", "g", group="h"), groups=[group("g", "h"), group("h")]
            ),
            "circle",
        ),
        (plan(leg("a", rollout={"batch": "0"})), "batch of a is 0; the least is 1"),
        (plan(leg("a", rollout={"batch": "101%"})), "the most is 100%"),
        (plan(leg("a", rollout={"canary": "101%"})), "the most is 100%"),
        (plan(leg("a", max_failures="200%")), "max_failures of a"),
        (plan(leg("a"), max_failures="200%"), "max_failures of the plan"),
        (plan(leg("a", retry_mode="rollback_to")), "belong together"),
        (plan(leg("a"), leg("b", "a", rollback_to=["a"])), "belong together"),
        (
            plan(leg("a"), leg("b", retry_mode="rollback_to", rollback_to=["a"])),
            "does not come before it",
        ),
        (
            plan(leg("a", retry_mode="rollback_to", rollback_to=["a"])),
            "which is itself",
        ),
        (
            plan(leg("a"), leg("b", "a", retry_mode="rollback_to", rollback_to=["c"])),
            "'c', a leg that does not exist",
        ),
        (
            plan(leg("a", not_before="2030-01-01T00:00:00Z", start_before="2029-01-01T00:00:00Z")),
            "a is to start before",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused_by_name(made: Plan, said: str) -> None:
    with pytest.raises(InvalidPlan, match=said):
        arrange(made)


def test_a_reference_to_what_does_not_come_before_is_refused() -> None:
    data = {"x": "${legs.a.data.path}"}

    arrange(plan(leg("a"), leg("b", "a"), leg("c", "b", data=data)))
    with pytest.raises(InvalidPlan, match="b refers to a, which does not come before it"):
        arrange(plan(leg("a"), leg("b", data=data)))
    with pytest.raises(InvalidPlan, match="'z', a leg that does not exist"):
        arrange(plan(leg("b", data={"x": ["${legs.z.data.path}"]})))
    with pytest.raises(InvalidPlan, match=r"b: .*no reference"):
        arrange(plan(leg("b", data={"x": "${HOME}"})))


def test_ten_thousand_legs_are_laid_out_at_once_whatever_their_shape() -> None:
    """Also the deepest: nothing here may recurse, and nothing may be quadratic."""
    most = range(1, LEGS_MOST)
    chained = [leg(f"l{n}", f"l{n - 1}", data={"x": "${legs.l0.data}"}) for n in most]
    wide = [leg(f"l{n}", group="g" if n % 2 else "h") for n in range(LEGS_MOST - 2)]

    began = time.process_time()
    arrange(plan(leg("l0"), *chained))
    arrange(plan(*wide, groups=[group("g"), group("h", "g")]))
    with pytest.raises(InvalidPlan, match=r"9989 more waits for"):
        arrange(plan(leg("l0", f"l{LEGS_MOST - 1}"), *chained))
    assert time.process_time() - began < 10  # less than one; the rest is for a busy machine


def test_too_much_is_refused() -> None:
    with pytest.raises(InvalidPlan, match="too many"):
        arrange(plan(*[leg(f"l{n}") for n in range(LEGS_MOST + 1)]))
    half = int(NEEDS_MOST**0.5) + 1
    firsts = [f"a{n}" for n in range(half)]
    with pytest.raises(InvalidPlan, match="into a group"):
        arrange(plan(*map(leg, firsts), *[leg(f"b{n}", *firsts) for n in range(half)]))
    nested = [group("g0"), *[group(f"g{n}", group=f"g{n - 1}") for n in range(1, 40)]]
    with pytest.raises(InvalidPlan, match="more than 32 groups"):
        arrange(plan(leg("a", group="g39"), groups=nested))


def test_an_id_of_a_leg_follows_from_its_plan_and_key() -> None:
    one = "0198c5a1-0000-7000-8000-000000000001"

    assert leg_id(one, "a") == leg_id(one, "a")
    assert len({leg_id(one, "a"), leg_id(one, "b"), leg_id(one[:-1] + "2", "a")}) == 3


@st.composite
def shapes(draw: st.DrawFn) -> tuple[list[Json], list[Json]]:
    """Legs and groups that need one another at random, with circles and without; no group empty."""
    names = [f"g{n}" for n in range(draw(st.integers(0, 3)))]
    groups = [
        group(name, group=draw(st.sampled_from([None, *names[:at]])))
        for at, name in enumerate(names)
    ]
    places = [*names, *draw(st.lists(st.sampled_from([None, *names]), min_size=1, max_size=6))]
    legs = [leg(f"l{at}", group=place) for at, place in enumerate(places)]
    parts = [*groups, *legs]
    for part in parts:
        own = {part["key"], *around(part["key"], parts)}
        others = [other["key"] for other in parts if other["key"] not in own]
        chosen = draw(st.lists(st.sampled_from(others), max_size=3)) if others else []
        part["needs"] = [{"leg": name} for name in dict.fromkeys(chosen)]
    return legs, groups


def around(key: str, parts: list[Json]) -> list[str]:
    """The groups around a leg or a group."""
    of = {part["key"]: part["group"] for part in parts}
    found = []
    while of[key] is not None:
        key = of[key]
        found.append(key)
    return found


def everything_before(legs: list[Json], groups: list[Json]) -> dict[str, set[str]]:
    """What each leg waits for in the end, worked out the slow way: pairs until nothing is new."""
    needs = {part["key"]: {need["leg"] for need in part["needs"]} for part in [*legs, *groups]}

    inside = {key: around(key, [*legs, *groups]) for key in needs}
    names = [item["key"] for item in legs]
    direct = {
        name: {
            other
            for wanted in set().union(*(needs[key] for key in [name, *inside[name]]))
            for other in names
            if other == wanted or wanted in inside[other]
        }
        for name in names
    }
    while True:
        wider = {
            name: known | set().union(*(direct[other] for other in known), set())
            for name, known in direct.items()
        }
        if wider == direct:
            return direct
        direct = wider


@settings(deadline=None)
@given(shapes())
def test_any_shape_is_laid_out_or_refused_as_the_slow_way_says(
    parts: tuple[list[Json], list[Json]],
) -> None:
    legs, groups = parts
    before = everything_before(legs, groups)
    if any(name in known for name, known in before.items()):
        with pytest.raises(InvalidPlan, match="circle"):
            arrange(plan(*legs, groups=groups))
        return

    shape = arrange(plan(*legs, groups=groups))

    at = {placed.leg.key: place for place, placed in enumerate(shape.legs)}
    assert all(at[other] < at[name] for name, known in before.items() for other in known)
    for name, known in before.items():
        assert set(shape.preceding(name)) == known


def test_the_same_plan_is_laid_out_the_same() -> None:
    legs = [leg(f"l{n}", *[f"l{m}" for m in range(n) if (n * m) % 3 == 1]) for n in range(30)]
    random.Random(7).shuffle(legs)  # noqa: S311  a shuffle, no key

    assert keys(plan(*legs)) == keys(plan(*legs))
