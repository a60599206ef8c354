"""Parts: the programs of a fleet as processes that a test may kill, pause and start again."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from fleetjobs.crashpoints import ONCE, POINT, CrashPoint
from tests.processes import wait_for


@dataclass(slots=True)
class Part:
    """One program: `python -m <module> --config <settings>`, as an operator would run it."""

    name: str
    module: str
    settings: Path
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    bomb: Path | None = None  # the file that says whether its crash point has gone off
    deaths: int = 0
    is_paused: bool = False

    def start(self, point: CrashPoint | None = None) -> None:
        """Run it; with a crash point it dies there, once."""
        self.bomb = None
        environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **self.environment}
        if point is not None:
            self.bomb = self.settings.with_name(f"bomb.{self.name}.{self.deaths}.{point}")
            environment |= {POINT: point, ONCE: str(self.bomb)}
        # setpriv becomes the program, which then goes with the tests, however they end
        argv = ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m", self.module]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*argv, "--config", str(self.settings)],
                cwd=Path(__file__).parents[2],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def is_alive(self) -> bool:
        """Whether it runs, be it paused."""
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.process is not None, f"{self.name} was never started"
        return self.process.pid

    def kill(self) -> None:
        """SIGKILL; nothing is cleaned up. Its children are not killed."""
        if self.is_alive:
            self._signal(signal.SIGKILL)
            self.bury()

    def bury(self) -> None:
        """Wait for its end, and note it."""
        assert self.process is not None
        self.process.wait(30)
        self.deaths += 1

    def stop(self) -> None:
        """End it politely; it must not take long."""
        if self.is_alive:
            self._signal(signal.SIGTERM)
            self.bury()

    def pause(self) -> None:
        """SIGSTOP: it lives, holds its connections, and does nothing."""
        self._signal(signal.SIGSTOP)
        self.is_paused = True

    def resume(self) -> None:
        """SIGCONT."""
        self.is_paused = False
        if self.is_alive:
            self._signal(signal.SIGCONT)

    def restart(self, point: CrashPoint | None = None) -> None:
        """Kill it and start it again."""
        self.kill()
        self.start(point)

    def blow(self, within: float = 30.0) -> None:
        """Wait until its crash point has gone off."""
        assert self.bomb is not None
        wait_for(self.bomb.exists, within)

    def defuse(self) -> None:
        """Have its crash point not go off any more."""
        if self.bomb is not None:
            self.bomb.touch()

    def child(self, word: str) -> psutil.Process | None:
        """Its child whose command line holds that word."""
        try:
            for process in psutil.Process(self.pid).children():
                if any(word in each for each in process.cmdline()):
                    return process
        except psutil.NoSuchProcess:
            pass
        return None

    def _signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)
