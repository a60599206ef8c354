"""Workplace: what a runner has to know of the node it works on."""

import os
from pathlib import Path

import msgspec
from msgspec import Struct

from fleetjobs.jobs import NodeId

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Workplace(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Handed to the runner host at its start, and by it to each runner."""

    node: NodeId
    spool: Path
    key: Path  # the node's private key, PEM
    agents: tuple[Path, ...]
    node_file: Path  # what the node is, for agents: see `agent.Node`
    libdirs: tuple[Path, ...] = ()  # of Choria's or MCollective's, with agents below
    plugin_d: Path = Path("/etc/choria/plugin.d")  # settings of external agents
    output_limit: int = 10 * 1024 * 1024  # bytes kept of each stream of a run
    grace_s: float = 10.0  # between SIGTERM and SIGKILL
    variables: dict[str, str] = {}  # more of a program's environment, where an agent is tried

    def to_text(self) -> str:
        """As one word of a command line."""
        return msgspec.json.encode(self, enc_hook=str).decode()

    @classmethod
    def from_text(cls, text: str) -> "Workplace":
        """Back from the command line."""
        return msgspec.json.decode(text, type=cls, dec_hook=lambda kind, value: kind(value))

    def environment(self, directory: Path) -> dict[str, str]:
        """All that a program in that run directory has in its environment."""
        return {
            "PATH": PATH,
            "LANG": "C.UTF-8",
            "HOME": os.environ.get("HOME", "/"),
            "FLEETJOBS_REQUEST": str(directory / "request.json"),
            "FLEETJOBS_REPLY": str(directory / "reply.json"),
            "FLEETJOBS_PROGRESS": str(directory / "progress"),
            "FLEETJOBS_NODE": str(self.node_file),
            **self.variables,
        }
