"""Activation: external agents are asked whether they want to be on this machine.

A program has two seconds to answer, as with Choria. There, one that a busy machine kept waiting is
gone until the next restart; here it is asked again, and meanwhile it says why it is not there.
"""

import logging
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from msgspec import Struct

from fleetjobs.layouts import Agent
from fleetjobs.node.protocols.external import ACTIVATION, activation_of, prepare_call
from fleetjobs.node.protocols.words import Call
from fleetjobs.node.reply_files import read_raw
from fleetjobs.registry import Registry

logger = logging.getLogger(__name__)

LIMIT_S = 2.0  #: for an answer
PAUSE_S, LONGEST_PAUSE_S = 5.0, 600.0  #: before a refused agent is asked again; doubled each time
AT_ONCE = 4  #: agents asked together
LOG_BYTES = 64 * 1024  #: of what a program says meanwhile
_LOOK_S = 0.02
_WHY_LIMIT = 500  # characters of what an agent gives as its reason


class ActivationReply(Struct, frozen=True):
    """What a program answers; other keys mean nothing."""

    activate: bool = False
    why: str = ""  # of our own agents


@dataclass(slots=True)
class _Standing:
    agent: Agent
    refusals: int
    ask_at: float  # monotonic; infinite: it wants to be here


@dataclass(frozen=True, slots=True, kw_only=True)
class Activator:
    """Keeps a registry told which of its external agents want to be here."""

    registry: Registry
    plugin_d: Path
    on_change: Callable[[], None]
    limit_s: float = LIMIT_S
    standings: dict[Path, _Standing] = field(default_factory=dict)

    def step(self) -> None:
        """Look for new and changed agents, and ask those whose turn it is."""
        before = self.registry.revision
        self.registry.refresh()
        due = list(self._due(time.monotonic()))
        if due:
            with ThreadPoolExecutor(min(AT_ONCE, len(due))) as pool:
                for agent, why in zip(due, pool.map(self.ask, due), strict=True):
                    self._settle(agent, why)
        if self.registry.revision != before:
            self.on_change()

    def ask(self, agent: Agent) -> str:
        """Why the agent does not want to be here; nothing if it does."""
        try:
            with tempfile.TemporaryDirectory(
                prefix="fleetjobs-activation-", ignore_cleanup_errors=True
            ) as place:
                return self._ask(agent, Path(place))
        except OSError as error:  # no room on the disk is no reason for a node not to start
            return f"asked whether it wants to be here, it could not begin: {error.strerror}"

    def _ask(self, agent: Agent, place: Path) -> str:
        exit_code = run_shortly(self._call(agent, place), self.limit_s, agent.name)
        if exit_code is None:
            return f"asked whether it wants to be here, it took longer than {self.limit_s:g} s"
        if exit_code:
            return f"asked whether it wants to be here, it ended with status {exit_code}"
        return _refusal(read_raw(place / "reply.json"))

    def _call(self, agent: Agent, place: Path) -> Call:
        if agent.module is not None:
            return _own_call(agent.module, place)
        return prepare_call(agent, place, ACTIVATION, activation_of(agent), plugins=self.plugin_d)

    def _due(self, now: float) -> Iterable[Agent]:
        asked = self.registry.asked
        known = {agent.directory / agent.name for agent in asked}
        for gone in set(self.standings) - known:
            del self.standings[gone]
        for agent in asked:
            standing = self.standings.get(agent.directory / agent.name)
            if standing is None or standing.agent is not agent or standing.ask_at <= now:
                yield agent

    def _settle(self, agent: Agent, why: str) -> None:
        self.registry.settle(agent, why)
        key = agent.directory / agent.name
        before = self.standings.get(key)
        refusals = before.refusals + 1 if before and before.agent is agent else 1
        pause = min(PAUSE_S * 2 ** min(refusals - 1, 10), LONGEST_PAUSE_S)
        ask_at = time.monotonic() + pause if why else float("inf")
        self.standings[key] = _Standing(agent, refusals if why else 0, ask_at)
        if why:
            logger.warning("agent %s is not active: %s", agent.name, why)
        else:
            logger.info("agent %s %s is active", agent.name, agent.interface.version)


def _refusal(raw: bytes | str) -> str:
    if not raw:
        raw = "it left no reply"
    if isinstance(raw, str):
        return f"asked whether it wants to be here: {raw}"
    try:
        reply = msgspec.json.decode(raw, type=ActivationReply)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return f"asked whether it wants to be here: its reply cannot be read: {error}"
    why = f": {reply.why[:_WHY_LIMIT]}" if reply.why else ""
    return "" if reply.activate else f"it does not want to be on this machine{why}"


def _own_call(module: Path, place: Path) -> Call:
    """A Python agent is asked in an interpreter of its own: it may hang, or break."""
    code = "import fleetjobs.agent, sys; fleetjobs.agent.answer_activation(sys.argv[1])"
    passed_on = ("PATH", "HOME", "LANG", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
    environment = {name: os.environ[name] for name in passed_on if name in os.environ}
    return Call(
        argv=(sys.executable, "-c", code, str(module)),
        environment={**environment, "FLEETJOBS_REPLY": str(place / "reply.json")},
        directory=place,
    )


def run_shortly(call: Call, limit_s: float, name: str) -> int | None:
    """The exit status of a program; None if it was over its time and killed with its group.

    What it writes is logged, the first of it. Raises OSError if it cannot begin.
    """
    with subprocess.Popen(
        call.argv,
        env=dict(call.environment),
        cwd=call.directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None  # noqa: S101  for mypy: it is a pipe
        said = _listen(process, process.stdout.fileno(), time.monotonic() + limit_s)
        exit_code = process.poll()
        with suppress(ProcessLookupError, PermissionError):  # whatever it has left behind, too
            os.killpg(process.pid, signal.SIGKILL)
        process.stdout.close()
    for line in said.decode("utf-8", "replace").splitlines():
        logger.info("agent %s: %s", name, line)
    return exit_code


def _listen(process: subprocess.Popen[bytes], stream: int, deadline: float) -> bytes:
    """What it writes until it has ended, or until then."""
    said, is_open = b"", True
    os.set_blocking(stream, False)
    while (left := deadline - time.monotonic()) > 0:
        has_ended = process.poll() is not None  # looked at before reading: it may write its last
        if is_open and select.select([stream], [], [], 0 if has_ended else min(left, _LOOK_S))[0]:
            chunk = os.read(stream, LOG_BYTES)
            said, is_open = (said + chunk)[:LOG_BYTES], bool(chunk)
        elif has_ended:
            break
        elif not is_open:
            with suppress(subprocess.TimeoutExpired):
                process.wait(left)
    return said
