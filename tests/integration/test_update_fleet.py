"""A fleet is updated from a real repository, each node its own packages."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fleetjobs.client.fleet import Fleet
from fleetjobs.client.plans import PlanJob
from fleetjobs.client.rpc import rpcclient
from tests.apt_fleet import AptFleet, make_apt_fleet
from tests.fleets import up
from tests.plan_examples import example

pytestmark = [
    pytest.mark.skipif(
        not shutil.which("apt-get") or os.geteuid() != 0, reason="takes apt, and root for dpkg"
    ),
    pytest.mark.timeout(400),
    pytest.mark.spec("S0-14"),
]
NODES = ("node1", "node2", "node3")
RINGS = {"node1": "canary", "node2": "first", "node3": "rest"}
PATIENT = 300.0  #: seconds that a plan may take on a busy machine


def make_fleet(place: Path, rings: Mapping[str, str]) -> AptFleet:
    """Nodes that have `tool` 1.0."""
    fleet = make_apt_fleet(place / "apt", list(rings))
    fleet.offer("tool", "1.0")
    fleet.install("tool")
    fleet.prepare(place / "state", rings)
    return fleet


@pytest.fixture
def fleet(tmp_path: Path) -> AptFleet:
    """Three nodes, one in each ring."""
    return make_fleet(tmp_path, RINGS)


def update(state: Path, **params: Any) -> PlanJob:
    """Run the example to its end."""
    plan = example("update-fleet", params)
    job = Fleet.connect(state / "client.toml").submit(plan)
    assert job.wait(PATIENT), job.document
    return job


def states(job: PlanJob) -> dict[str, str]:
    """How each leg ended."""
    return {leg["key"]: leg["state"] for leg in job.legs()}


def report(job: PlanJob) -> dict[str, int]:
    """What the plan says is still to be updated, by node."""
    return {run["node"]: run["data"]["count"] for run in job.leg("report").runs()}


def test_each_node_updates_packages_of_its_own(fleet: AptFleet, tmp_path: Path) -> None:
    """What the others do then is done in this world."""
    fleet.offer("tool", "1.1")
    with up(tmp_path / "state", "--nodes=3"):
        config = tmp_path / "state" / "client.toml"

        found = list(rpcclient("package", config=config).checkupdates(refresh=True))
        done = list(rpcclient("package", nodes="node2", config=config).update(all=True))

    assert [reply.statuscode for reply in done] == [0]
    offered = [{"name": "tool", "old": "1.0", "new": "1.1"}]
    assert {reply.sender: reply.data["updates"] for reply in found} == dict.fromkeys(NODES, offered)
    assert fleet.versions("tool") == {"node1": "1.0", "node2": "1.1", "node3": "1.0"}


def test_a_good_update_reaches_every_ring(fleet: AptFleet, tmp_path: Path) -> None:
    fleet.offer("tool", "1.1")
    with up(tmp_path / "state", "--nodes=3"):
        job = update(tmp_path / "state")

        assert set(states(job).values()) == {"succeeded"}
        assert report(job) == dict.fromkeys(NODES, 0)
    assert fleet.versions("tool") == dict.fromkeys(NODES, "1.1")


def test_an_update_that_makes_nodes_ill_gets_no_further_than_the_canary(
    fleet: AptFleet, tmp_path: Path
) -> None:
    """It installs well; only the health check sees that the tool does not work any more."""
    fleet.offer("tool", "1.1-broken")
    with up(tmp_path / "state", "--nodes=3"):
        job = update(tmp_path / "state")

        found = states(job)
        assert (found["canary"], found["canary_health"]) == ("succeeded", "failed")
        assert (found["first"], found["rest"]) == ("skipped", "skipped")
        assert found["report"] == "succeeded"
        assert job.document["state"] == "failed"
        assert report(job) == {"node1": 0, "node2": 1, "node3": 1}
    assert fleet.versions("tool") == {"node1": "1.1-broken", "node2": "1.0", "node3": "1.0"}


@pytest.mark.spec("I8")
def test_the_rest_stops_at_the_node_on_which_the_update_fails(tmp_path: Path) -> None:
    """Batches of one, of four nodes; the second one cannot install it."""
    rest = ("node3", "node4", "node5", "node6")
    rings = {"node1": "canary", "node2": "first", **dict.fromkeys(rest, "rest")}
    fleet = make_fleet(tmp_path, rings)
    fleet.obstruct("node4")
    fleet.offer("tool", "1.1")
    with up(tmp_path / "state", "--nodes=6"):
        job = update(tmp_path / "state")

        runs = {run["node"]: run["state"] for run in job.leg("rest").runs()}
        assert [runs[node] for node in rest] == ["succeeded", "failed", "skipped", "skipped"]
        assert job.leg("rest").document["rollout"]["phase"] == "stopped"
        assert job.document["state"] == "failed"
    found = fleet.versions("tool")
    assert [found[node] for node in ("node3", "node5", "node6")] == ["1.1", "1.0", "1.0"]


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("nodes", [5, pytest.param(20, marks=pytest.mark.long)])
def test_all_nodes_are_updated_but_for_those_that_cannot_be(tmp_path: Path, nodes: int) -> None:
    """One finds no repository: it is told, and the others are not kept from their update."""
    last, first = f"node{nodes}", 2 + 3 * nodes // 10
    rings = {
        f"node{number}": "canary" if number <= 2 else "first" if number <= first else "rest"
        for number in range(1, nodes + 1)
    }
    fleet = make_fleet(tmp_path, rings)
    fleet.offer("tool", "1.1")
    fleet.cut_off(last)
    with up(tmp_path / "state", f"--nodes={nodes}"):
        job = update(tmp_path / "state", may_fail="1")

        runs = {run["node"]: run["state"] for run in job.leg("look").runs()}
        assert runs == {**dict.fromkeys(rings, "succeeded"), last: "failed"}
        assert job.leg("rest").document["state"] == "succeeded"
    assert fleet.versions("tool") == {**dict.fromkeys(rings, "1.1"), last: "1.0"}
