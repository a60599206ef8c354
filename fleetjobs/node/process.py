"""Process: who a process is, whether it lives, and how to end all that it started."""

import os
from collections import defaultdict
from contextlib import suppress
from functools import cache
from pathlib import Path

from fleetjobs.spool.attempts import Holder

# fields 4, 5 and 22 of /proc/<pid>/stat, counted after the name: proc(5)
_PARENT, _GROUP, _BIRTH = 1, 2, 19
_ENDED = frozenset({"Z", "X"})  # a zombie waits for its parent, and does nothing more


def birth(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None if it has ended.

    With the pid and the boot this names one process for good: pids are used again.
    """
    status = _status(pid)
    return None if status is None else int(status[_BIRTH])


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


def tree(group: int | None, mark: str) -> set[int]:
    """The living processes of the group, if one is given, with the mark, and all they started.

    A daemon leaves group and session; the environment it was started with stays: any process with
    `mark` (NAME=value) in it is meant, wherever it went.
    """
    wanted = mark.encode()
    members, children = set(), defaultdict(list)
    for name in os.listdir("/proc"):  # noqa: PTH208  all processes: Path costs
        status = _status(int(name)) if name.isdigit() else None
        if status is None:
            continue
        pid = int(name)
        children[int(status[_PARENT])].append(pid)
        if int(status[_GROUP]) == group or wanted in _environment(pid):
            members.add(pid)
    found: set[int] = set()
    while members:
        pid = members.pop()
        found.add(pid)
        members.update(child for child in children[pid] if child not in found)
    return found - {os.getpid()}


def signal_tree(group: int | None, mark: str, number: int) -> bool:
    """Send a signal to all of the tree; False if nobody is left there."""
    pids = tree(group, mark)
    if group is not None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)  # at once, before one of them can start another
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            if os.getpgid(pid) != group:
                os.kill(pid, number)
    return bool(pids)


def _status(pid: int) -> list[bytes] | None:
    """The fields of /proc/<pid>/stat from the third on; None if the process has ended."""
    try:
        status = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = status.rpartition(b")")[2].split()  # the name before may hold spaces and brackets
    return None if fields[0].decode() in _ENDED else fields


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []
