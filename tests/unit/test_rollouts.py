"""Rollouts: the order of nodes, how they are dealt out, and what may begin."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetjobs.errors import InvalidRollout
from fleetjobs.rollouts import (
    Course,
    Gate,
    Phase,
    Rollout,
    begin,
    check_rollout,
    deal,
    order_nodes,
    turns,
)

SHARES = st.one_of(st.integers(0, 100).map("{}%".format), st.integers(0, 300).map(str))


@given(st.integers(1, 500), SHARES.filter(lambda share: int(share.strip("%")) > 0), SHARES)
def test_every_node_has_its_turn_once(total: int, batch: str, canary: str) -> None:
    sizes = deal(total, Rollout(batch=batch, canary=canary))

    assert sum(sizes) == total
    assert all(sizes)
    assert turns(sizes) == sorted(turns(sizes))
    assert len(turns(sizes)) == total


@pytest.mark.parametrize(
    ("total", "changes", "sizes"),
    [
        (10, {}, (10,)),
        (10, {"batch": "3"}, (3, 3, 3, 1)),
        (10, {"batch": "25%"}, (2, 2, 2, 2, 2)),
        (10, {"batch": "1%"}, (1,) * 10),
        (10, {"batch": "4", "canary": "1"}, (1, 4, 4, 1)),
        (10, {"batch": "50%", "canary": "20%"}, (2, 5, 3)),
        (3, {"batch": "10", "canary": "5"}, (3,)),
        (9, {"canary": "10%"}, (9,)),
    ],
)
def test_percentages_are_of_all_nodes_and_rounded_down(
    total: int, changes: dict[str, str], sizes: tuple[int, ...]
) -> None:
    assert deal(total, Rollout(**changes)) == sizes


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"batch": "0"}, "the batch is 0; the least is 1"),
        ({"batch": "0%"}, "the batch is 0%; the least is 1"),
        ({"batch": "101%"}, "the batch is 101%; the most is 100%"),
        ({"canary": "101%"}, "the canary is 101%"),
        ({"max_failures": "200%"}, "max_failures of the rollout is 200%"),
    ],
)
def test_what_cannot_be_meant_is_refused(changes: dict[str, str], why: str) -> None:
    with pytest.raises(InvalidRollout, match=why):
        check_rollout(Rollout(**changes))


@pytest.mark.parametrize(
    "document",
    [
        {"batch": "-1"},
        {"max_failures": "-1%"},
        {"batch": 5},
        {"sleep_s": -1},
        {"reach_s": 0},
        {"order": "backwards"},
        {"order": "fact:"},
        {"bacth": "5"},
    ],
)
def test_what_cannot_be_read_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(document, Rollout)


def test_nodes_come_as_listed_unless_told_otherwise() -> None:
    assert order_nodes(["b", "a"], Rollout(), {}, seed="x") == ["b", "a"]


def test_the_same_seed_gives_the_same_order() -> None:
    names = [f"n{number}" for number in range(50)]

    def ordered(rollout: Rollout, seed: str = "job") -> list[str]:
        return order_nodes(names, rollout, {}, seed=seed)

    mixed = ordered(Rollout(order="random", seed=7))
    assert mixed == ordered(Rollout(order="random", seed=7), "another job")
    assert sorted(mixed) == sorted(names)
    assert mixed != names
    assert ordered(Rollout(order="random")) == ordered(Rollout(order="random"))
    assert ordered(Rollout(order="random")) != ordered(Rollout(order="random"), "another job")


def test_nodes_come_by_the_value_of_a_fact_and_at_the_end_without_it() -> None:
    facts: dict[str, dict[str, Any]] = {
        "a": {"rack": {"row": 10}},
        "b": {"rack": {"row": 9}},
        "c": {},
        "d": {"rack": {"row": "attic"}},
        "e": {"rack": {"row": "9"}},
    }

    ordered = order_nodes(list("abcde"), Rollout(order="fact:rack.row"), facts, seed="x")

    assert ordered == ["b", "e", "a", "d", "c"]


def test_the_gate_opens_batch_by_batch() -> None:
    course = begin(6, Rollout(batch="2"))
    assert [course.gate(turn) for turn in (1, 2, 3)] == [Gate.OPEN, Gate.LATER, Gate.LATER]

    paused = msgspec.structs.replace(course, phase=Phase.PAUSED)
    assert [paused.gate(turn) for turn in (1, 2, 3)] == [Gate.PERSON, Gate.PERSON, Gate.LATER]

    stopped = msgspec.structs.replace(course, phase=Phase.STOPPED)
    assert {stopped.gate(turn) for turn in (1, 2, 3)} == {Gate.SHUT}


def test_the_budget_is_spent_by_one_more_than_may_fail() -> None:
    course = begin(20, Rollout(batch="5", max_failures="10%"))

    assert course.max_failures == 2
    assert [course.is_spent(failed) for failed in (0, 2, 3)] == [False, False, True]
    excused = msgspec.structs.replace(course, excused=3)
    assert [excused.is_spent(failed) for failed in (3, 5, 6)] == [False, False, True]


def test_a_course_survives_being_kept() -> None:
    course = begin(20, Rollout(batch="7", canary="1", sleep_s=5, by_hand=True), pauses=True)

    assert msgspec.convert(msgspec.to_builtins(course), Course) == course


@pytest.mark.parametrize("seed", [2**63, -(2**63) - 1, 2**80])
def test_a_seed_that_no_document_can_hold_is_refused(seed: int) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"order": "random", "seed": seed}, Rollout)
    assert msgspec.convert({"seed": 2**63 - 1}, Rollout).seed == 2**63 - 1
