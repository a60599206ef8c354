"""Apt fleet: nodes of one machine that each have packages of their own, and a health check.

Their package agents get another root for apt and dpkg; all take packages from one repository.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.apt_system import System, make_system

#: a node is well while its tool has a version; `broken` in it means that the tool does not work
CHECK = """#!/bin/sh
grep -v broken {root}/etc/tool.conf
"""


@dataclass(frozen=True)
class AptFleet:
    """The systems of the nodes, by identity."""

    place: Path
    systems: Mapping[str, System]

    def offer(self, name: str, version: str) -> None:
        """Have the repository offer that version, to all."""
        next(iter(self.systems.values())).offer(name, version)

    def install(self, name: str) -> None:
        """Have it installed everywhere, as it is offered now."""
        for system in self.systems.values():
            system.do("install", name=name, refresh=True)

    def versions(self, name: str) -> dict[str, Any]:
        """What each node has of it."""
        return {
            identity: system.call("status", name=name).data["version"]
            for identity, system in self.systems.items()
        }

    def cut_off(self, identity: str) -> None:
        """Have that node find no repository."""
        sources = self.systems[identity].root / "etc/apt/sources.list"
        sources.write_text("deb [trusted=yes] file:/nowhere ./\n")

    def obstruct(self, identity: str) -> None:
        """Have no update of the tool be installed on that node."""
        conf = self.systems[identity].root / "etc/tool.conf"
        conf.unlink()
        (conf / "in the way").mkdir(parents=True)

    def prepare(self, state: Path, rings: Mapping[str, str]) -> None:
        """Tell the nodes of a fleet that `up` will start in that state directory."""
        for identity, system in self.systems.items():
            node = state / "nodes" / identity
            (node / "environment").mkdir(parents=True)
            (node / "facts.d").mkdir()
            lines = "".join(f"{name}={value}\n" for name, value in system.env.items())
            (node / "environment" / "package").write_text(lines)
            checks = self.place / identity / "health.d"
            (node / "environment" / "health").write_text(f"FLEETJOBS_HEALTH_CHECKS={checks}\n")
            (node / "facts.d" / "ring.json").write_text(f'{{"ring": "{rings[identity]}"}}\n')
            checks.mkdir()
            (checks / "tool").write_text(CHECK.format(root=system.root))
            (checks / "tool").chmod(0o755)


def make_apt_fleet(place: Path, identities: Sequence[str]) -> AptFleet:
    """Empty systems for these nodes, and an empty repository."""
    repository = place / "repository"
    repository.mkdir(parents=True)
    systems = {}
    for identity in identities:
        (place / identity).mkdir()
        systems[identity] = make_system(place / identity, repository)
    return AptFleet(place, systems)
