"""Workplace: what a runner has to know of the node it works on."""

import os
import re
from pathlib import Path

import msgspec
from msgspec import Struct

from fleetjobs.errors import InvalidSetting
from fleetjobs.names import NodeId

_SETTING = re.compile(r"(?!FLEETJOBS_(?:REQUEST|REPLY|PROGRESS|NODE)=)[A-Za-z_][A-Za-z0-9_]*=")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Workplace(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Handed to the runner host at its start, and by it to each runner."""

    node: NodeId
    spool: Path
    key: Path  # the node's private key, PEM
    agents: tuple[Path, ...]
    node_file: Path  # what the node is, for agents: see `agent.Node`
    environments: Path | None = None  # a file for each agent that needs more in its environment
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

    def environment(self, directory: Path, agent: str) -> dict[str, str]:
        """All that the agent's program in that run directory has in its environment.

        Raises InvalidSetting if what the node adds for it cannot be read.
        """
        return {
            "PATH": PATH,
            "LANG": "C.UTF-8",
            "HOME": os.environ.get("HOME", "/"),
            **self.additions(agent),
            "FLEETJOBS_REQUEST": str(directory / "request.json"),
            "FLEETJOBS_REPLY": str(directory / "reply.json"),
            "FLEETJOBS_PROGRESS": str(directory / "progress"),
            "FLEETJOBS_NODE": str(self.node_file),
            **self.variables,
        }

    def additions(self, agent: str) -> dict[str, str]:
        """What the node's owner adds to the environment of an agent. Raises InvalidSetting."""
        return read_environment(self.environments / agent) if self.environments else {}


def read_environment(path: Path) -> dict[str, str]:
    """What a file of `NAME=value` lines says; nothing where there is no file.

    Empty lines and those that begin with # are passed over. Raises InvalidSetting naming the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InvalidSetting(f"{path}: cannot be read: {error}") from None
    found: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        if not _SETTING.match(line) or "\0" in line:
            raise InvalidSetting(f"{path}:{number}: expected NAME=value, and no name of our own")
        name, _, value = line.partition("=")
        found[name] = value
    return found
