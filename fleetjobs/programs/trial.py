"""Trial: one agent, tried on this machine as a node would use it, without a fleet."""

import json
import os
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from getpass import getuser
from pathlib import Path
from typing import Any

import msgspec
from uuid_utils import uuid7

from fleetjobs.errors import Fault, InvalidDocument, InvalidInterface
from fleetjobs.layouts import Agent
from fleetjobs.messages import Reply
from fleetjobs.names import NodeId, node_id
from fleetjobs.node.workplace import Workplace
from fleetjobs.programs.alone import Alone, Shown, Told, now
from fleetjobs.programs.places import AGENTS
from fleetjobs.registry import Registry
from fleetjobs.requests import Request
from fleetjobs.signing import SigningKey, node_key_id
from fleetjobs.targets import Target


@dataclass(frozen=True, slots=True)
class Trial:
    """An agent, and a node of its own to be tried on."""

    agent: Agent
    workplace: Workplace
    registry: Registry

    def act(
        self,
        action: str,
        data: Mapping[str, Any],
        *,
        attempt: int = 1,
        shown: Shown = lambda _: None,
        told: Told = lambda _: None,
    ) -> Reply:
        """Have the action done and give its final reply.

        Raises UnknownAction, MissingInput or InvalidInput where a server would refuse it.
        """
        self.agent.interface.action(action).check(data)
        request = Request(
            id=str(uuid7()),
            org="local",
            caller=getuser(),
            agent=self.agent.name,
            action=action,
            data=dict(data),
            target=Target(),
            created_at=now(),
        )
        alone = Alone(workplace=self.workplace, registry=self.registry, shown=shown, told=told)
        return alone.carry_out(request, attempt)

    def with_variables(self, variables: Mapping[str, str]) -> "Trial":
        """The same with more in the environment of its programs."""
        more = {**self.workplace.variables, **variables}
        return replace(self, workplace=msgspec.structs.replace(self.workplace, variables=more))

    def with_node(self, document: Mapping[str, Any]) -> "Trial":
        """The same on a node of which that is told to agents: facts, classes, agents."""
        aside = self.workplace.node_file.with_name("other.json")
        aside.write_text(json.dumps(document), encoding="utf-8")
        return replace(self, workplace=msgspec.structs.replace(self.workplace, node_file=aside))


@contextmanager
def trial(directory: Path) -> Iterator[Trial]:
    """A node that has the agent in that directory and is gone afterwards.

    Raises InvalidInterface, saying why a node would refuse it.
    """
    with tempfile.TemporaryDirectory(prefix="fleetjobs-") as name:
        place = Path(name)
        (place / "agents").mkdir()
        # a link, so that a node finds this one and none that lies beside it
        (place / "agents" / directory.name).symlink_to(directory, target_is_directory=True)
        registry = Registry([place / "agents"])
        agent = registry.agents.get(directory.name)
        if agent is None:
            raise InvalidInterface(next(iter(registry.refused.values()), "it is no agent"))
        workplace = _workplace(place)
        facts = _facts(workplace.node)
        document = {"identity": workplace.node, "facts": facts, "classes": [], "agents": {}}
        document["agents"] = {agent.name: agent.interface.version}
        workplace.node_file.write_text(json.dumps(document), encoding="utf-8")
        yield Trial(agent, workplace, registry)


def _workplace(place: Path) -> Workplace:
    try:
        node = node_id(socket.gethostname())
    except InvalidDocument:
        node = NodeId("localhost")
    SigningKey.generate(node_key_id(node)).save(place / "node.pem")
    return Workplace(
        node=node,
        spool=place / "spool",
        key=place / "node.pem",
        agents=(place / "agents",),
        node_file=place / "node.json",
    )


def _facts(node: NodeId) -> dict[str, Any]:
    """What a node would tell of this machine; little where only the client is installed."""
    try:
        from fleetjobs.node.facts import basic_facts
    except ImportError:
        return {"identity": node}
    return basic_facts(node)


def find_agents(path: Path) -> list[Path]:
    """The directories of the agents meant: itself, those in it, or one that comes with fleetjobs.

    Raises InvalidInterface if there is none, saying what one looks like.
    """
    if path.is_file():
        path = path.parent
    if not path.exists() and len(path.parts) == 1 and (AGENTS / path).is_dir():
        path = AGENTS / path
    path = path.resolve()
    if not path.is_dir():
        raise InvalidInterface(f"{path}: there is no such directory")
    if (path / f"{path.name}.json").exists():
        return [path]
    inside = [child for child in sorted(path.iterdir()) if (child / f"{child.name}.json").is_file()]
    if not inside:
        raise InvalidInterface(_no_agent(path))
    return inside


def _no_agent(path: Path) -> str:
    wanted = f"{path.name}.json"
    others = [child.name for child in sorted(path.glob("*.json"))]
    if others:
        return (
            f"{path}: an agent's interface is called as its directory, {wanted};"
            f" there is {', '.join(others)}"
        )
    return f"{path}: there is no agent here: its interface would be {path / wanted}"


def remedies(directory: Path) -> list[str]:
    """What may be wrong with the files of an agent that is refused or cannot be begun."""
    name = directory.name
    program, module = directory / name, directory / f"{name}.py"
    found = []
    if not program.exists() and not module.exists():
        others = [
            child.name
            for child in sorted(directory.iterdir())
            if child.stem == name and child.suffix not in {".json", ".md"}
        ]
        called = f"; there is {', '.join(others)}" if others else ""
        found.append(f"its program has to be {program.name} or {module.name}{called}")
    elif program.is_file() and module.is_file():
        found.append(f"there are both {program.name} and {module.name}: keep one of them")
    elif program.is_file() and not os.access(program, os.X_OK):
        found.append(f"make it executable: chmod +x {program}")
    return found


def problem_of(fault: Fault, directory: Path) -> str:
    """Why an agent is refused, and what to do about it."""
    return "\n".join([str(fault), *remedies(directory)])
