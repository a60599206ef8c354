"""What is undone, and done again, before a leg is tried again."""

import pytest

from fleetjobs.errors import InvalidPlan
from fleetjobs.plans.detours import steps_after, undone_at, way_back
from fleetjobs.plans.documents import Group, Leg, Need, Pace, Plan
from fleetjobs.plans.shapes import arrange
from fleetjobs.states import StartIf
from tests.plans import make_leg

NAMES = ["undo:c", "undo:b", "undo:a", "redo:a", "redo:b"]


def leg(key: str, *after: str, group: str | None = None, **how: object) -> Leg:
    needs = tuple(Need(leg=one, **how) for one in after)  # type: ignore[arg-type]
    return make_leg(key, needs=needs, group=group)


def back(*legs: Leg, to: str = "a", leg: str = "c", groups: tuple[Group, ...] = ()) -> list[str]:
    return way_back(arrange(Plan(legs=legs, groups=groups)), leg, [to])


@pytest.mark.spec("S4-08")
def test_all_between_the_named_leg_and_this_one_goes_along() -> None:
    assert back(leg("z"), leg("a", "z"), leg("b", "a"), leg("c", "b")) == ["a", "b"]
    assert back(leg("z"), leg("a", "z"), leg("b", "z"), leg("c", "a", "b")) == ["a"]
    assert back(leg("a"), leg("x", "a"), leg("y", "a"), leg("c", "x", "y")) == ["a", "x", "y"]


def test_what_comes_later_is_no_hindrance() -> None:
    assert back(leg("a"), leg("c", "a"), leg("d", "c", "a")) == ["a"]


@pytest.mark.parametrize(
    ("legs", "why"),
    [
        ([leg("a"), leg("b", "a"), leg("c", "a")], "b is built on the same legs"),
        ([leg("a"), leg("c", "a", pace=Pace.BARRIER)], "by itself only"),
        ([leg("a"), leg("c", "a", when=StartIf.COMPLETED)], "by its success"),
        ([leg("a"), leg("c")], "no leg of that name"),
    ],
)
def test_what_a_node_cannot_go_back_on_by_itself_is_refused(legs: list[Leg], why: str) -> None:
    with pytest.raises(InvalidPlan, match=why):
        back(*legs)


def test_a_group_is_not_gone_back_behind_by_one_node() -> None:
    legs = [leg("a", group="g"), leg("c", "g")]

    with pytest.raises(InvalidPlan, match="by itself only"):
        back(*legs, groups=(Group(key="g"),))


@pytest.mark.parametrize(
    ("at", "undone"),
    [
        ("undo:c", set()),
        ("undo:b", {"c"}),
        ("undo:a", {"c", "b"}),
        ("redo:a", {"c", "b"}),
        ("redo:b", {"c"}),
    ],
)
def test_at_each_step_it_is_known_what_is_undone(at: str, undone: set[str]) -> None:
    assert undone_at(NAMES, at) == undone


def test_steps_come_one_after_the_other() -> None:
    kept = [{"name": name, "task": "demo.echo", "sealed": "x"} for name in NAMES]

    assert [step.name for step in steps_after(kept, None)] == NAMES
    assert [step.name for step in steps_after(kept, "undo:a")] == ["redo:a", "redo:b"]
    assert steps_after(kept, "redo:b") == ()
    assert steps_after(None, None) == ()
