"""Registries that many nodes share until they are forked."""

from pathlib import Path

from fleetjobs.names import NodeId
from fleetjobs.node.workplace import Workplace
from fleetjobs.programs.registries import Registries, for_runners
from tests.workbench import write_agent


def make_place(root: Path, node: str, *agents: Path) -> Workplace:
    return Workplace(
        node=NodeId(node),
        spool=root / node / "spool",
        key=root / node / "key.pem",
        agents=agents,
        node_file=root / node / "node.json",
    )


def test_nodes_with_the_same_directories_share_what_was_read(tmp_path: Path) -> None:
    write_agent(tmp_path / "agents", "shell", program="#!/bin/sh\n")
    registries = Registries(for_runners)
    web1, web2 = (make_place(tmp_path, name, tmp_path / "agents") for name in ("web1", "web2"))

    assert list(registries.of(web1).agents) == ["shell"]
    assert registries.of(web2) is registries.of(web1)


def test_a_node_with_other_directories_has_its_own(tmp_path: Path) -> None:
    write_agent(tmp_path / "agents", "shell", program="#!/bin/sh\n")
    write_agent(tmp_path / "more", "snake", program="#!/bin/sh\n")
    registries = Registries(for_runners)
    web1 = make_place(tmp_path, "web1", tmp_path / "agents")
    web2 = make_place(tmp_path, "web2", tmp_path / "agents", tmp_path / "more")

    assert list(registries.of(web1).agents) == ["shell"]
    assert list(registries.of(web2).agents) == ["shell", "snake"]
