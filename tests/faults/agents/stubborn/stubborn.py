"""stubborn: actions that do not end when told to, that fail, and that are missed early."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from fleetjobs.agent import Agent, action

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {DEAF!r}])"
DAEMON = f"import os\nif os.fork(): os._exit(0)\nos.setsid()\nif os.fork(): os._exit(0)\n{DEAF}"


MB = 1024 * 1024


def _parent(pid: int) -> int:
    """Of a process, by field 4 of its stat: proc(5)."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


class Stubborn(Agent):
    """Each leaves the marks that `demo.mark` leaves."""

    @action
    def family(self, file: str) -> None:
        """Be deaf to SIGTERM, with a child, a grandchild and a daemon that are so too."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        named = {**os.environ, "STUBBORN": self.request["job"]}
        for code in (PARENT, DAEMON):
            subprocess.Popen([sys.executable, "-c", code], env=named)
        self._mark(file, "start")
        time.sleep(600)

    @action
    def slow(self, file: str, seconds: float) -> None:
        """Take that long, or until a file `enough` is there beside that of the marks."""
        self._mark(file, "start")
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not Path(file).with_name("enough").exists():
            time.sleep(0.05)
        self._mark(file, "end")

    @action
    def roll(self, file: str, seconds: float, bad: list[str]) -> None:
        """Take that long, and fail on some nodes."""
        self._mark(file, "start")
        time.sleep(seconds)
        self._mark(file, "end")
        if self.request["node"] in bad:
            self.fail("a bad node")

    @action
    def flaky(self, file: str, times: int) -> None:
        """Fail that many attempts, then succeed."""
        self._mark(file, "start")
        if self.request["attempt"] <= times:
            self.fail("not yet")
        self._mark(file, "end")

    @action
    def replace(self, file: str, go: str) -> None:
        """End the worker, as an upgrade does, and go on when the next one is there."""
        self._mark(file, "start")
        os.kill(_parent(_parent(os.getppid())), signal.SIGTERM)
        while not Path(go).exists():
            time.sleep(0.05)
        self._mark(file, "end")

    @action
    def flood(self, file: str, megabytes: int, width: int) -> None:
        """Write that much to both streams: rubbish, in lines or without any."""
        self._mark(file, "start")
        block = (b"\xff\x00\x1b[31m" * (MB // 7 + 1))[:MB]
        if width:
            block = (b"x" * (width - 1) + b"\n") * (MB // width)
        for _ in range(megabytes):
            for stream in (sys.stdout.buffer, sys.stderr.buffer):
                stream.write(block)
        self._mark(file, "end")

    def _mark(self, file: str, word: str) -> None:
        line = "{job} {node} {attempt} ".format_map(self.request) + f"{os.getpid()} {word}\n"
        with Path(file).open("a") as marks:
            marks.write(line)
            marks.flush()
            os.fsync(marks.fileno())
