"""system: how the machine beneath a node is: its disks, its clock, and what waits in its spool."""

import ctypes
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fleetjobs.agent import Agent, action, main

_WORDS = 64  #: longs that the kernel may write into a timex; the struct has fewer
_UNSYNCHRONISED = 5  #: TIME_ERROR of adjtimex(2)


class System(Agent):
    """Questions about the machine; nothing is changed."""

    @action
    def uptime(self) -> None:
        """Reply with how long the machine has been up, and how busy it is."""
        up_s = float(Path("/proc/uptime").read_text().split()[0])
        booted_at = datetime.now(UTC) - timedelta(seconds=up_s)
        self.reply.update(
            uptime_s=int(up_s),
            booted_at=booted_at.isoformat(timespec="seconds"),
            load=[round(number, 2) for number in os.getloadavg()],
        )

    @action
    def disk(self, paths: list[str], max_percent: float) -> None:
        """Fail if a file system is fuller than it may be."""
        found = [fullness(path) for path in paths]
        full = [one["path"] for one in found if one["percent"] > max_percent]
        self.reply.update(disks=found, full=full)
        if full:
            self.fail(f"{', '.join(full)}: fuller than {max_percent:g} %")

    @action
    def clock(self, *, strict: bool) -> None:
        """Reply with what the kernel knows of its clock; if strict, fail where nothing sets it."""
        state, error_s = kernel_clock()
        synchronised = state != _UNSYNCHRONISED
        self.reply.update(now=int(time.time()), synchronised=synchronised, max_error_s=error_s)
        if strict and not synchronised:
            self.fail("nothing keeps this clock right: is NTP at work?")

    @action
    def spool(self, max_outbox: int) -> None:
        """Fail if more replies wait for the broker than may."""
        place = Path(os.environ.get("FLEETJOBS_NODE", "/nowhere/node.json")).parent / "spool"
        runs, outbox = (count(place / name) for name in ("runs", "outbox"))
        self.reply.update(runs=runs, outbox=outbox)
        if outbox > max_outbox:
            self.fail(f"{outbox} replies wait for the broker; {max_outbox} may")


def fullness(path: str) -> dict[str, Any]:
    """How full the file system is that a path is on, as df counts it: what only root may use is."""
    found = os.statvfs(path)
    used = found.f_blocks - found.f_bfree
    usable = used + found.f_bavail
    percent = 100.0 * used / usable if usable else 0.0
    return {
        "path": path,
        "percent": round(percent, 1),
        "free_bytes": found.f_bavail * found.f_frsize,
    }


def kernel_clock() -> tuple[int, float | None]:
    """The state of the kernel's clock, and its largest error in seconds. adjtimex(2)."""
    words = (ctypes.c_long * _WORDS)()  # its first word, the modes, is 0: nothing is set
    state = int(ctypes.CDLL(None).adjtimex(ctypes.byref(words)))
    return state, round(words[3] / 1e6, 6)  # modes, offset, freq, maxerror: microseconds


def count(directory: Path) -> int:
    """How many things lie in it."""
    try:
        return sum(1 for _ in directory.iterdir())
    except FileNotFoundError:
        return 0


if __name__ == "__main__":
    main()
