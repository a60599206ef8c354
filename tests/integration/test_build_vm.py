"""A virtual machine is built by a plan, through the whole fleet, and says so on its console."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fleetjobs.client.fleet import Fleet
from fleetjobs.client.plans import PlanJob
from fleetjobs.plans.documents import OnFailure, Plan
from tests.fleets import up
from tests.guest import GuestFiles
from tests.plan_examples import example
from tests.vm_fleet import VmFleet, vm_fleet

pytestmark = pytest.mark.timeout(600)
PATIENT = 300.0  #: seconds that guests may take on a busy machine
LEGS = ("make_volume", "make_config", "write_image", "start")


@pytest.fixture
def fleet(tmp_path: Path, guest_files: GuestFiles) -> Iterator[VmFleet]:
    """A fleet of three nodes to be; without machines."""
    with vm_fleet(tmp_path, ["node1", "node2", "node3"], guest_files) as fleet:
        yield fleet


def build_plan(params: Mapping[str, Any], on_failure: OnFailure = OnFailure.FAIL) -> Plan:
    """The example, with what follows a failure."""
    return msgspec.structs.replace(
        example("build-vm", {**params, "within_s": PATIENT}), on_failure=on_failure
    )


def run_plan(fleet: VmFleet, plan: Plan) -> PlanJob:
    """Hand it in and wait for its end."""
    job = Fleet.connect(fleet.state / "client.toml").submit(plan)
    assert job.wait(PATIENT), job.document
    return job


def states(job: PlanJob) -> dict[str, str]:
    """How each leg ended."""
    return {leg["key"]: leg["state"] for leg in job.legs()}


@pytest.mark.spec("S0-14")
@pytest.mark.parametrize(
    "nodes", [1, pytest.param(3, marks=pytest.mark.slow)], ids=["one", "three_at_once"]
)
def test_a_guest_is_built_boots_and_says_so(
    fleet: VmFleet, guest_files: GuestFiles, nodes: int
) -> None:
    built = [f"node{number}" for number in range(1, nodes + 1)]
    with up(fleet.state, f"--nodes={nodes}"):
        job = run_plan(fleet, build_plan(fleet.params("web7", guest_files)))

        assert states(job) == dict.fromkeys(LEGS, "succeeded")
        assert job.percent == 100.0
        told = {run["node"]: run["data"]["state"] for run in job.leg("start").runs()}
        assert told == dict.fromkeys(built, "running")
        for identity in built:
            status = fleet.nodes[identity].do("status", name="web7")
            assert status["state"] == "running"
            assert "web7 reads: the image" in status["console"]


def broken_parts(fleet: VmFleet, leg: str) -> dict[str, Any]:
    """Parameters with which that leg fails, or a node on which it does."""
    if leg == "start":
        fleet.take_qemu_away("node1")
    return {
        "make_volume": {"size_mib": 2**31},  # no disk has room for it
        "make_config": {"memory_mib": 2**31},
        "write_image": {"image": str(fleet.images / "missing.img")},
        "start": {},
    }[leg]


@pytest.mark.spec("S4-09")
@pytest.mark.parametrize("leg", LEGS)
def test_whatever_leg_fails_nothing_after_it_is_done_and_a_rollback_leaves_nothing(
    fleet: VmFleet, guest_files: GuestFiles, leg: str
) -> None:
    """One fleet for both, because each start costs seconds."""
    params = fleet.params("web7", guest_files, **broken_parts(fleet, leg))
    with up(fleet.state, "--nodes=1"):
        undone = run_plan(fleet, build_plan(params, OnFailure.ROLLBACK))
        assert undone.document["state"] == "failed"
        assert fleet.left()["node1"] == []
        assert fleet.running()["node1"] == []

        job = run_plan(fleet, build_plan(params))

        before, after = LEGS[: LEGS.index(leg)], LEGS[LEGS.index(leg) + 1 :]
        assert states(job) == {
            **dict.fromkeys(before, "succeeded"),
            leg: "failed",
            **dict.fromkeys(after, "skipped"),
        }
        assert job.document["state"] == "failed"
        assert job.percent != 100.0


def test_a_rollback_keeps_what_was_there_before(fleet: VmFleet, guest_files: GuestFiles) -> None:
    """The volume is another job's: it was found made, so it is not taken away."""
    fleet.nodes["node1"].do("make_volume", name="web7", size_mib=8, job="another")
    params = fleet.params("web7", guest_files, image=str(fleet.images / "missing.img"))
    with up(fleet.state, "--nodes=1"):
        run_plan(fleet, build_plan(params, OnFailure.ROLLBACK))

    assert fleet.left()["node1"] == ["volumes/web7"]
