"""Registry: the agents on this machine, found by their interface files.

An agent `web` is a directory `web/` with its interface `web.json`, and beside it either `web.py`
(a Python agent, see `agent.py`) or an executable `web` in any language.
"""

import json
import logging
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fleetjobs.errors import Fault, InvalidInterface, UnknownAction, UnknownAgent, is_shortage
from fleetjobs.interfaces import Interface, read_interface

logger = logging.getLogger(__name__)

PROVIDER = "fleetjobs"  #: the contract that agents keep: ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """An agent that can be called: its interface, and the program or the module behind it."""

    name: str
    interface: Interface
    directory: Path
    program: Path | None  # an executable
    module: Path | None  # a Python file; exactly one of the two


Stamp = tuple[tuple[int, int, int, int], ...]  #: changes when one of an agent's files does


class Registry:
    """The agents in some directories; where two have the same name, the later directory's."""

    def __init__(self, directories: Sequence[Path]) -> None:
        """Look for agents; see `refused` for those that cannot be taken."""
        self._directories = tuple(directories)
        self._stamps: dict[Path, Stamp] = {}
        self._agents: dict[Path, Agent] = {}
        self._refused: dict[Path, str] = {}
        self.refresh()

    @property
    def agents(self) -> Mapping[str, Agent]:
        """The agents by name."""
        return {agent.name: agent for agent in self._agents.values()}

    @property
    def refused(self) -> Mapping[str, str]:
        """Why a directory is no agent, by its name."""
        return {path.name: why for path, why in self._refused.items()}

    def agent(self, name: str) -> Agent:
        """The agent of that name. Raises UnknownAgent, listing what there is."""
        try:
            return self.agents[name]
        except KeyError:
            known = ", ".join(sorted(self.agents)) or "none"
            raise UnknownAgent(f"no agent {name!r:.70} here; there are: {known}") from None

    def limit(self, task: str) -> int | None:
        """How many of `agent.action` may be at work at once; None: as many as there are slots."""
        agent, _, action = task.partition(".")
        try:
            return self.agent(agent).interface.action(action).max_parallel
        except (UnknownAgent, UnknownAction):
            return None

    def refresh(self) -> bool:
        """Look at the files again, read those that changed; whether any did. A few stats each.

        While we lack what it takes to look, what is known stays.
        """
        try:
            return self._look()
        except OSError as error:
            logger.error("agents cannot be looked at now: %s", error.strerror)
            return False

    def _look(self) -> bool:
        stamps = {path: _stamp(path) for path in self._candidates()}
        if stamps == self._stamps:
            return False
        agents, refused = {}, {}
        for path, stamp in stamps.items():
            if stamp == self._stamps.get(path) and path in self._agents:
                agents[path] = self._agents[path]
                continue
            try:
                agents[path] = _read_agent(path)
            except Fault as fault:
                refused[path] = str(fault)
        self._stamps, self._agents, self._refused = stamps, agents, refused
        return True

    def _candidates(self) -> list[Path]:
        found = []
        for directory in self._directories:
            try:
                names = sorted(os.listdir(directory))  # noqa: PTH208  each run looks: Path costs
            except OSError as error:  # not there, or not yet
                if is_shortage(error):
                    raise
                continue
            found += [
                directory / name
                for name in names
                if not name.startswith((".", "_")) and (directory / name).is_dir()
            ]
        return found


def _files(directory: Path) -> tuple[Path, Path, Path]:
    name = directory.name
    return directory / f"{name}.json", directory / f"{name}.py", directory / name


def _stamp(directory: Path) -> Stamp:
    found = []
    for path in _files(directory):
        try:
            status = path.stat()
        except OSError:
            found.append((0, 0, 0, 0))
        else:
            found.append((status.st_mtime_ns, status.st_size, status.st_ino, status.st_mode))
    return tuple(found)


def _read_agent(directory: Path) -> Agent:
    document, module, program = _files(directory)
    try:
        interface = read_interface(json.loads(document.read_bytes()))
    except OSError as error:
        if is_shortage(error):
            raise
        raise InvalidInterface(f"{document.name}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise InvalidInterface(f"{document.name}: not JSON: {error}") from None
    if interface.name != directory.name:
        raise InvalidInterface(f"{document.name}: its metadata names it {interface.name!r}")
    if interface.provider != PROVIDER:
        raise InvalidInterface(f"{document.name}: provider {interface.provider!r} is not known")
    has_program = _is_executable(program)
    if module.is_file() == has_program:
        either = f"{module.name} or an executable {program.name}"
        raise InvalidInterface(
            f"there must be either {either}, not {'both' * has_program or 'none'}"
        )
    return Agent(
        name=interface.name,
        interface=interface,
        directory=directory,
        program=program if has_program else None,
        module=None if has_program else module,
    )


def _is_executable(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) and os.access(path, os.X_OK)
