"""Fills: what references come to when a leg is handed over, and what happens if to nothing."""

from typing import Any

import pytest

from fleetjobs.control.jobs import Control
from fleetjobs.messages import Inventory
from fleetjobs.names import JobId
from fleetjobs.plans.documents import Leg, Need, OnFailure
from fleetjobs.plans.shapes import leg_id
from fleetjobs.states import Reason, State, Status
from fleetjobs.store.database import Database
from fleetjobs.store.fills import FILL_MOST, Unfilled, fail_unfilled, fill_in
from fleetjobs.store.handovers import Handover, runs_to_dispatch
from fleetjobs.store.nodes import save_beats
from tests.makers import Clock, demo_interface, enroll, make_beat
from tests.plans import PlanDesk, make_leg

AFTER_A = (Need(leg="a"),)


@pytest.fixture
def desk(database: Database) -> PlanDesk:
    """A desk with three nodes behind it, whose demo.echo answers more than it does elsewhere."""
    nodes = ("web1", "web2", "web3")
    enroll(database, *nodes)
    clock = Clock()
    interface = demo_interface("2.0.0")
    output = {"description": "x", "display_as": "x", "type": "string"}
    interface["actions"][0]["output"] = {"no": output, "big": output}
    inventory = Inventory(facts={}, interfaces={"demo": interface})
    with database.transaction() as connection:
        for node in nodes:
            save_beats(connection, [make_beat(node, inventory=inventory)], clock())
    return PlanDesk(Control(database, clock), clock)


def referring(text: str, *nodes: str, **more: Any) -> Leg:
    """A leg after `a` with that text."""
    return make_leg("b", *nodes, **{"data": {"text": text}, "needs": AFTER_A, **more})


def due(desk: PlanDesk, plan: JobId) -> tuple[list[Handover], list[Unfilled]]:
    """What is to be handed over of the leg `b`."""
    with desk.control.database.reading() as connection:
        everything = runs_to_dispatch(connection, desk.clock(), 100_000)
        ours = [item for item in everything if item.job == leg_id(plan, "b")]
        return fill_in(connection, ours)


def give_up(desk: PlanDesk, broken: list[Unfilled]) -> None:
    with desk.control.database.transaction() as connection:
        fail_unfilled(connection, broken, desk.clock())


def test_a_reference_means_what_the_same_node_answered(desk: PlanDesk) -> None:
    plan = desk.plan(
        make_leg("a", "web1", "web2"),
        referring("${legs.a.node}: ${legs.a.statusmsg}", "web1", "web2"),
    )
    desk.hand_over()
    desk.succeed(plan, "a", "web1", statusmsg="one")
    desk.succeed(plan, "a", "web2", statusmsg="two")

    filled, broken = due(desk, plan)

    assert broken == []
    assert [(item.node, item.fills) for item in filled] == [
        ("web1", {"legs.a.node": "web1", "legs.a.statusmsg": "one"}),
        ("web2", {"legs.a.node": "web2", "legs.a.statusmsg": "two"}),
    ]


def test_from_another_node_it_means_the_only_one(desk: PlanDesk) -> None:
    plan = desk.plan(make_leg("a", "web1"), referring("${legs.a.statusmsg}", "web2"))
    desk.hand_over()
    desk.succeed(plan, "a", "web1", statusmsg="one")

    ((item,), _) = due(desk, plan)

    assert item.fills == {"legs.a.statusmsg": "one"}


def test_data_without_references_are_handed_over_as_they_are(desk: PlanDesk) -> None:
    plan = desk.plan(make_leg("a", "web1"), referring("plain", "web1"))
    desk.hand_over()
    desk.succeed(plan, "a", "web1")

    ((item,), _) = due(desk, plan)

    assert item.fills is None


def test_a_mark_that_stands_for_itself_is_to_be_read_as_such(desk: PlanDesk) -> None:
    """`$${` is no reference, and the node has to know that it is not two dollars."""
    plan = desk.plan(make_leg("a", "web1"), referring("$${x}", "web1"))
    desk.hand_over()
    desk.succeed(plan, "a", "web1")

    ((item,), _) = due(desk, plan)

    assert item.fills == {}


@pytest.mark.parametrize("pauses", [False, True])
def test_what_is_not_there_fails_the_run_before_it_reaches_its_node(
    desk: PlanDesk, *, pauses: bool
) -> None:
    plan = desk.plan(
        make_leg("a", "web1"),
        referring("", "web1", data={"text": "x", "password": "${legs.a.data.no}"}),
        on_failure=OnFailure.PAUSE if pauses else OnFailure.FAIL,
    )
    desk.hand_over()
    desk.succeed(plan, "a", "web1", data={"secret": "hidden"})

    _, broken = due(desk, plan)
    give_up(desk, broken)

    run = desk.run(leg_id(plan, "b"))
    assert (run.state, run.reason) == (
        (State.PAUSED, Reason.ATTEMPTS_EXHAUSTED) if pauses else (State.FAILED, Reason.INVALID)
    )
    assert run.statuscode == Status.MISSING_DATA
    assert "${legs.a.data.no}" in run.statusmsg
    assert "hidden" not in run.statusmsg
    assert desk.handed() == []
    assert desk.job(plan).state is (State.PAUSED if pauses else State.FAILED)


def test_a_megabyte_is_carried_and_more_is_refused_in_words(desk: PlanDesk) -> None:
    for size, fits in ((1_000_000, True), (FILL_MOST, False)):
        plan = desk.plan(
            make_leg("a", "web1"),
            referring("", "web1", data={"text": "x", "password": "${legs.a.data.big}"}),
        )
        desk.hand_over()
        desk.succeed(plan, "a", "web1", data={"big": "x" * size})

        filled, broken = due(desk, plan)

        assert (len(filled), len(broken)) == ((1, 0) if fits else (0, 1))
        if fits:
            assert filled[0].fills == {"legs.a.data.big": "x" * size}
        else:
            assert "longer than" in broken[0].why
            give_up(desk, broken)


def test_a_run_that_was_called_off_meanwhile_stays_so(desk: PlanDesk) -> None:
    plan = desk.plan(
        make_leg("a", "web1"),
        referring("", "web1", data={"text": "x", "password": "${legs.a.data.no}"}),
    )
    desk.hand_over()
    desk.succeed(plan, "a", "web1")
    _, broken = due(desk, plan)
    desk.control.verbs.cancel(plan, org="acme", account="bob", force=True)

    give_up(desk, broken)

    assert desk.run(leg_id(plan, "b")).state is State.CANCELLED


def test_what_a_leg_refers_to_is_waited_for_even_if_it_is_not_needed_itself(
    desk: PlanDesk,
) -> None:
    """B needs c alone, and c on its node may be over before a is on b's."""
    plan = desk.plan(
        make_leg("a", "web1", "web2"),
        make_leg("c", "web1", needs=AFTER_A),
        referring("${legs.a.node}", "web2", needs=(Need(leg="c"),)),
    )
    desk.hand_over()
    desk.succeed(plan, "a", "web1")
    desk.hand_over()
    desk.succeed(plan, "c", "web1")
    assert desk.handed() == []

    desk.succeed(plan, "a", "web2")

    assert [key for key, _ in desk.handed()] == ["b"]
