"""A fleet for benchmarks: `fj up` in a directory of its own, on a broker of its own."""

import atexit
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

from fleetjobs.client.fleet import Fleet
from fleetjobs.programs.premises import Premises, own_key
from fleetjobs.signing import node_key_id

READY_WITHIN_S = 180
_PROGRAMS = ("up", "founding", "server", "coordinator", "nursery", "runner_host")


class Desk:
    """A fleet of that many nodes; a context manager that leaves nothing behind."""

    def __init__(self, broker: str, nodes: int, database: str | None = None) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="fleetjobs-bench-")
        self.state = Path(self._directory.name)
        self.nodes = [f"node{number}" for number in range(1, nodes + 1)]
        self._command = [
            *(sys.executable, "-m", "fleetjobs.programs.up"),
            *("--state", str(self.state), "--nodes", str(nodes), "--broker", broker),
            *("--port", "0", "--no-flower"),
            *(("--database", database) if database else ()),
        ]
        self._processes: list[subprocess.Popen[bytes]] = []  # `fj up` first

    @property
    def config(self) -> Path:
        """The profile of the fleet's owner."""
        return self.state / "client.toml"

    def connect(self) -> Fleet:
        """The fleet, seen from the desk."""
        return Fleet.connect(self.config)

    def add_node(self, identity: str, agents: Path | None = None) -> None:
        """Start one more node, which shares no memory with the others; with these agents too."""
        premises = Premises(self.state)
        place = premises.node_settings(identity)
        key = own_key(node_key_id(identity), place.parent / "key.pem")
        like = tomllib.loads(premises.node_settings(self.nodes[0]).read_text())
        settings = like | {"identity": identity} | ({"agents": [str(agents)]} if agents else {})
        lines = [f"{name} = {json.dumps(value)}\n" for name, value in settings.items()]
        place.write_text("".join(lines))
        fleet = self.connect()
        wish = {"identity": identity, "verify_key": key.verify_key.text}
        body = json.dumps(wish).encode()
        fleet.transport.post("nodes", body=body, content_type="application/json")
        time.sleep(1.5)  # the collector reads the keys again no sooner, and drops the first beat
        argv = [sys.executable, "-m", "fleetjobs.programs.node", "--config", str(place)]
        self._start(argv, premises.log(identity), lambda: fleet.node(identity)["agents"])

    def __enter__(self) -> Self:
        """Start the fleet and wait until each node has sent a beat."""
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # or it would all stay behind
        log = self.state / "up.log"
        self._start(self._command, log, lambda: b" is up:" in log.read_bytes())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the fleet."""
        for process in reversed(self._processes):
            process.send_signal(signal.SIGINT)
            process.wait(60)
        self._directory.cleanup()

    def _start(self, argv: list[str], log: Path, is_ready: Callable[[], bool]) -> None:
        """Start a program and wait for it."""
        with log.open("wb") as file:
            process = subprocess.Popen(
                argv, stdout=file, stderr=file, stdin=subprocess.DEVNULL, env=compiled()
            )
        self._processes.append(process)
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline and process.poll() is None:
            if is_ready():
                return
            time.sleep(0.2)
        text = log.read_text(errors="replace")
        self.__exit__(None, None, None)
        raise RuntimeError(f"the fleet does not come up:\n{text[-4000:]}")


@cache
def compiled() -> dict[str, str]:
    """The environment here, in which Python keeps what it compiled, as any installation does.

    Where it may not (PYTHONDONTWRITEBYTECODE), each process would compile all its modules anew.
    """
    environment = dict(os.environ)
    if environment.pop("PYTHONDONTWRITEBYTECODE", None):
        place = tempfile.TemporaryDirectory(prefix="fleetjobs-bench-")
        atexit.register(place.cleanup)
        environment["PYTHONPYCACHEPREFIX"] = place.name
    names = ", ".join(f"fleetjobs.programs.{name}" for name in _PROGRAMS)
    subprocess.run([sys.executable, "-c", f"import {names}"], env=environment, check=True)
    return environment
