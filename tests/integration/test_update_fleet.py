"""A fleet is updated from a real repository, each node its own packages."""

import os
import shutil
from pathlib import Path

import pytest

from fleetjobs.client.rpc import rpcclient
from tests.apt_fleet import AptFleet, make_apt_fleet
from tests.fleets import up

pytestmark = [
    pytest.mark.skipif(
        not shutil.which("apt-get") or os.geteuid() != 0, reason="takes apt, and root for dpkg"
    ),
    pytest.mark.timeout(400),
]
NODES = ("node1", "node2", "node3")
RINGS = {"node1": "canary", "node2": "first", "node3": "rest"}


@pytest.fixture
def fleet(tmp_path: Path) -> AptFleet:
    """Three nodes that have `tool` 1.0; 1.1 is offered."""
    fleet = make_apt_fleet(tmp_path / "apt", NODES)
    fleet.offer("tool", "1.0")
    fleet.install("tool")
    fleet.offer("tool", "1.1")
    fleet.prepare(tmp_path / "state", RINGS)
    return fleet


def test_each_node_updates_packages_of_its_own(fleet: AptFleet, tmp_path: Path) -> None:
    """What the others do then is done in this world."""
    with up(tmp_path / "state", "--nodes=3"):
        config = tmp_path / "state" / "client.toml"

        found = list(rpcclient("package", config=config).checkupdates(refresh=True))
        done = list(rpcclient("package", nodes="node2", config=config).update(all=True))

    assert [reply.statuscode for reply in done] == [0]
    offered = [{"name": "tool", "old": "1.0", "new": "1.1"}]
    assert {reply.sender: reply.data["updates"] for reply in found} == dict.fromkeys(NODES, offered)
    assert fleet.versions("tool") == {"node1": "1.0", "node2": "1.1", "node3": "1.0"}
