"""The plans in docs/examples are read, and our agents' interfaces have nothing against them."""

from typing import Any

import pytest

from fleetjobs.plans.checks import find_problems
from fleetjobs.plans.documents import Pace, Rollout
from fleetjobs.plans.shapes import arrange
from tests.plan_examples import EXAMPLES, example, own_interfaces, written

PARAMS: dict[str, dict[str, Any]] = {  # of those that need any
    "build-vm": {"name": "web7", "image": "/images/web.qcow2"},
    "look-around": {"text": "hello"},
    "restart": {"name": "nginx"},
}


@pytest.mark.parametrize("name", sorted(path.stem for path in EXAMPLES.glob("*.yaml")))
def test_an_example_is_a_plan_that_could_be_run(name: str) -> None:
    plan = example(name, PARAMS.get(name, {}))

    assert find_problems(arrange(plan), own_interfaces()) == []

    assert plan.name == name
    assert written(name).description
    assert all(parameter.description for parameter in written(name).parameters.values())


def test_every_leg_that_builds_a_machine_can_be_taken_back() -> None:
    plan = example("build-vm", PARAMS["build-vm"])
    vm = own_interfaces()["vm"]

    assert all(vm.action(leg.action).reversible for leg in plan.legs)


def test_a_ring_waits_for_the_whole_ring_before_and_a_node_only_for_itself() -> None:
    legs = {leg.key: leg for leg in example("update-fleet", {"may_fail": "10%"}).legs}

    assert {need.leg: need.pace for need in legs["rest"].needs} == {
        "look": Pace.NODE,
        "first": Pace.BARRIER,
        "first_health": Pace.BARRIER,
    }
    assert {need.pace for need in legs["rest_health"].needs} == {Pace.NODE}
    assert legs["rest"].rollout == Rollout(batch="25%", max_failures="10%")
