"""Process: who a process is, whether it lives, and how to end all that it started."""

import os
from contextlib import suppress
from functools import cache
from pathlib import Path

from fleetjobs.spool.attempts import Holder

_BIRTH = 19  # field 22 of /proc/<pid>/stat, counted after the name: proc(5)
_ENDED = frozenset({"Z", "X"})  # a zombie waits for its parent, and does nothing more


def birth(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None if it has ended.

    With the pid and the boot this names one process for good: pids are used again.
    """
    try:
        status = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = status.rpartition(b")")[2].split()  # the name before may hold spaces and brackets
    return None if fields[0].decode() in _ENDED else int(fields[_BIRTH])


@cache
def boot() -> str:
    """The kernel's id of this boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def holder(pid: int) -> Holder:
    """The process, named for good. An ended one has a birth of 0, and is never alive."""
    return Holder(pid, birth(pid) or 0, boot())


def is_alive(process: Holder) -> bool:
    """Whether it still runs: this very process, not another under its pid."""
    return birth(process.pid) == process.birth and boot() == process.boot


def group_is_alive(leader: int) -> bool:
    """Whether any process is left in the group."""
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def signal_all(leader: int, mark: str, signal: int) -> None:
    """Send a signal to the process group, and to whoever left it but kept the mark.

    A daemon leaves group and session; the environment it was started with stays: any process with
    `mark` (NAME=value) in it is meant, wherever it went.
    """
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal)
    for pid in marked(mark):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal)


def marked(mark: str) -> list[int]:
    """The living processes that have `mark` (NAME=value) in their environment."""
    wanted = mark.encode()
    found = []
    for name in os.listdir("/proc"):  # noqa: PTH208  all processes: Path costs
        if name.isdigit():
            try:
                environment = Path(f"/proc/{name}/environ").read_bytes()
            except OSError:
                continue
            if wanted in environment.split(b"\0"):
                found.append(int(name))
    return found
