"""Headquarters: what the coordinator and the server's own node need, beside the server's settings.

For installations that `up` does not keep. Everything is written once and is the owner's from then
on: what is there already stays as it is.
"""

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from fleetjobs.names import NodeId
from fleetjobs.nodes import CONTROLLER
from fleetjobs.programs.places import CONTROLLER_AGENTS
from fleetjobs.programs.premises import LOOK_AFTER_ITSELF, own_key, toml
from fleetjobs.programs.settings import ServerSettings
from fleetjobs.signing import COORDINATOR, SERVER, SigningKey, node_key_id
from fleetjobs.store.database import Database
from fleetjobs.store.nodes import enroll_node

POLICY = f"""\
# What the server's own node allows; what no rule allows is denied.
# Rules are asked in order, the first that fits decides. Read again when changed.

{LOOK_AFTER_ITSELF}
# [[rules]] # an account that may do what the fleet does for itself
# effect = "allow"
# callers = ["NAME"]
# agents = ["fleet", "package"]
# actions = ["*"]
"""


@dataclass(frozen=True, slots=True)
class Headquarters:
    """The directory of the server's settings, and what is made there."""

    config: Path  # the server's settings, absolute
    settings: ServerSettings

    @property
    def coordinator(self) -> Path:
        """The coordinator's settings."""
        return self.config.parent / "coordinator.toml"

    @property
    def node(self) -> Path:
        """Where the server's own node lives."""
        return self.config.parent / "controller"

    def settle(self, database: Database, broker: str, org: str, *, now: datetime) -> list[Path]:
        """Have all of it, and the node enrolled; the files that were made."""
        key = own_key(COORDINATOR, self.config.parent / "coordinator.pem")
        server = SigningKey.load(SERVER, self.settings.key)
        coordinator = toml(
            broker=broker,
            database=self.settings.database,
            key="coordinator.pem",
            server_key=str(self.settings.key),
        )
        made = [self._write(self.coordinator, coordinator), *self._node(broker)]
        for trusted in (key, server):
            path = self.node / "trust" / f"{trusted.id}.pub"
            made.append(self._write(path, trusted.verify_key.text + "\n"))
        own = own_key(node_key_id(CONTROLLER), self.node / "key.pem")
        with database.transaction() as connection:
            enroll_node(connection, NodeId(CONTROLLER), org, own.verify_key, now)
        return [path for path in made if path is not None]

    def _node(self, broker: str) -> list[Path | None]:
        settings = toml(
            identity=CONTROLLER,
            broker=broker,
            state=".",
            key="key.pem",
            trust="trust",
            policy="policy.toml",
            agents=[str(CONTROLLER_AGENTS)],
            classes="classes",
        )
        environment = f"FLEETJOBS_SERVER_CONFIG={self.config}\n"
        return [
            self._write(self.node / "node.toml", settings),
            self._write(self.node / "policy.toml", POLICY),
            self._write(self.node / "classes", "controller\n"),
            self._write(self.node / "environment" / "fleet", environment),
        ]

    def _write(self, path: Path, text: str) -> Path | None:
        """Make the file, for its owner's eyes only; None if it is there."""
        path.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
        try:
            opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return None
        with os.fdopen(opened, "w", encoding="utf-8") as file:
            file.write(text)
        return path
