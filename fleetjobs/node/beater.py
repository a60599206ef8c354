"""Beater: say that the node lives, and what it is."""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from fleetjobs.documents import encode
from fleetjobs.messages import TOGETHER, Beat, Inventory
from fleetjobs.names import NodeId
from fleetjobs.node.facts import gather_facts, read_classes
from fleetjobs.registry import Registry
from fleetjobs.signing import SigningKey

logger = logging.getLogger(__name__)

REPEAT = timedelta(minutes=10)  #: an unchanged inventory is sent again after this time
LOOK = timedelta(minutes=1)  #: how often facts are gathered; agents are looked at each beat


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How much a node has to do."""

    running: int
    waiting: int
    slots: int  # how many may run at once


class Beater:
    """Sends beats; with the inventory at start, on change, and every ten minutes."""

    def __init__(
        self,
        *,
        node: NodeId,
        software: str,
        signer: SigningKey,
        registry: Registry,
        fact_directories: tuple[Path, ...],
        classes_file: Path,
        node_file: Path,
        load: Callable[[], Load],
        send: Callable[[str], None],
        clock: Callable[[], datetime],
    ) -> None:
        self._node = node
        self._software = software
        self._signer = signer
        self._registry = registry
        self._fact_directories = fact_directories
        self._classes_file = classes_file
        self._node_file = node_file
        self._load = load
        self._send = send
        self._clock = clock
        self._started_at = clock()
        self._inventory: Inventory | None = None
        self._revision = -1  # of the registry, as last looked at
        self._looked_at = self._sent_at = datetime.min.replace(tzinfo=self._started_at.tzinfo)

    def facts(self) -> Mapping[str, Any]:
        """The facts as last gathered."""
        return self._inventory.facts if self._inventory else {}

    def classes(self) -> frozenset[str]:
        """The classes as last read."""
        return frozenset(self._inventory.classes if self._inventory else ())

    def step(self) -> None:
        """Send one beat, with the inventory if it is due."""
        now = self._clock()
        changed = self._look(now)
        full = changed or now - self._sent_at >= REPEAT
        if full:
            self._sent_at = now
        load = self._load()
        beat = Beat(
            node=self._node,
            at=now,
            started_at=self._started_at,
            software=self._software,
            running=load.running,
            waiting=load.waiting,
            slots=load.slots,
            takes=TOGETHER,
            inventory=self._inventory if full else None,
        )
        self._send(self._signer.seal(encode(beat)))

    def _look(self, now: datetime) -> bool:
        """Gather the inventory if agents changed or it is time to; whether it is another."""
        self._registry.refresh()
        if self._registry.revision == self._revision and now - self._looked_at < LOOK:
            return False
        self._revision, self._looked_at = self._registry.revision, now
        inventory = Inventory(
            facts=gather_facts(self._node, self._fact_directories),
            classes=read_classes(self._classes_file),
            interfaces={
                name: dict(agent.interface.document)
                for name, agent in self._registry.agents.items()
            },
            refused=dict(self._registry.refused),
        )
        if inventory == self._inventory:
            return False
        self._inventory = inventory
        self._tell_agents(inventory)
        return True

    def _tell_agents(self, inventory: Inventory) -> None:
        """Write what agents may know of their node; read by them through FLEETJOBS_NODE."""
        document = {
            "identity": self._node,
            "software": self._software,
            "started_at": self._started_at.isoformat(),
            "facts": inventory.facts,
            "classes": inventory.classes,
            "agents": {
                name: agent.interface.version for name, agent in self._registry.agents.items()
            },
        }
        aside = self._node_file.with_suffix(".new")
        aside.write_text(json.dumps(document), encoding="utf-8")
        aside.rename(self._node_file)  # atomic: an agent reads the old or the new, never half
