"""A fleet for benchmarks: `fj up` in a directory of its own, on a broker of its own."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from fleetjobs.client.fleet import Fleet

READY_WITHIN_S = 180


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
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of `fj up`."""
        assert self._process is not None  # noqa: S101  entered
        return self._process.pid

    @property
    def config(self) -> Path:
        """The profile of the fleet's owner."""
        return self.state / "client.toml"

    def connect(self) -> Fleet:
        """The fleet, seen from the desk."""
        return Fleet.connect(self.config)

    def __enter__(self) -> Self:
        """Start the fleet and wait until each node has sent a beat."""
        with (self.state / "up.log").open("wb") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=os.environ
            )
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            if b" is up:" in (self.state / "up.log").read_bytes():
                return self
            time.sleep(0.2)
        text = (self.state / "up.log").read_text(errors="replace")
        self.__exit__(None, None, None)
        raise RuntimeError(f"the fleet does not come up:\n{text[-4000:]}")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the fleet."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(60)
        self._directory.cleanup()
