"""Words: what a runner and the protocol of an agent say to each other."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from fleetjobs.interfaces import Action
from fleetjobs.layouts import Agent
from fleetjobs.messages import Output
from fleetjobs.node.verdict import Ending, Verdict
from fleetjobs.requests import Request


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for, as this node knows it."""

    agent: Agent
    action: Action


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(Asked):
    """One attempt that is about to begin."""

    request: Request
    run: Path  # its directory
    attempt: int
    begins_at: datetime

    @property
    def deadline(self) -> datetime:
        """When it will be ended."""
        return self.begins_at + self.action.timeout


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """How to start what acts: one of a program's words and a Python module."""

    argv: tuple[str, ...] = ()
    module: Path | None = None
    environment: Mapping[str, str]
    directory: Path  # to start it in


class AgentProtocol(Protocol):
    """How the programs of one provider are called, and what they answer."""

    def mark(self, run: Path) -> str:
        """NAME=value, which is in the environment of that run's program and of nothing else."""
        ...

    def prepare(self, task: Task) -> Call:
        """Write what the program reads. Raises OSError, or InvalidInterface without a program."""
        ...

    def read(self, run: Path) -> Any:
        """The reply that was left; text that says why there is none."""
        ...

    def judge(self, ending: Ending, reply: Any, asked: Asked | None, err: Output | None) -> Verdict:
        """What the attempt came to; `asked` is None if its agent is not known any more."""
        ...


def write_new(path: Path, content: bytes = b"") -> None:
    """Make a file for its owner alone: inputs may be secret. Raises FileExistsError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
