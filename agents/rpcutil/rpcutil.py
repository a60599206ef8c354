"""rpcutil: what a node is and what it can do. All of it runs inside the worker, at once."""

import os
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fleetjobs.agent import Agent, action, main


class Rpcutil(Agent):
    """Questions about the node itself."""

    @action
    def ping(self) -> None:
        """Show that the node lives."""
        self.reply["pong"] = int(time.time())

    @action
    def inventory(self) -> None:
        """Reply with all there is to know, but with names only for the agents."""
        self.reply.update(
            identity=self.node.identity,
            version=self.node.document.get("software"),
            agents=sorted(self.node.agents()),
            classes=sorted(self.node.classes()),
            facts=self.node.facts(),
        )

    @action
    def get_fact(self, fact: str) -> None:
        """Reply with one fact."""
        self.reply.update(fact=fact, value=find_fact(self.node.facts(), fact))

    @action
    def facts(self) -> None:
        """Reply with all facts."""
        self.reply["facts"] = self.node.facts()

    @action
    def agents(self) -> None:
        """Reply with the agents and their versions."""
        self.reply["agents"] = self.node.agents()

    @action
    def stats(self) -> None:
        """Reply with how the worker does, whose process this is."""
        started = self.node.started_at
        age = datetime.now(UTC) - datetime.fromisoformat(started) if started else None
        self.reply.update(
            pid=os.getpid(),
            started_at=started,
            uptime_s=int(age.total_seconds()) if age else None,
            memory_bytes=resident_memory(),
            cpu_s=round(time.process_time(), 3),
            version=self.node.document.get("software"),
        )


def find_fact(facts: dict[str, Any], name: str) -> Any:
    """The fact of that name, or at that dotted path; None if there is none."""
    if name in facts:
        return facts[name]
    value: Any = facts
    for part in name.split("."):
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def resident_memory() -> int | None:
    """Bytes of memory that this process occupies; None where the kernel does not tell."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    match = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    return int(match[1]) * 1024 if match else None


if __name__ == "__main__":
    main()
