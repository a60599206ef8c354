"""Commands: run the package tools so that they never ask, wait for locks, and leave a log."""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, TextIO

from fleetjobs.agent import Fail

LOOK = 0.2  #: seconds between two looks at what a tool has written
LOCK_WAIT = 300  #: seconds to wait for another package tool to end
LOCKED = re.compile(
    r"[Cc]ould not get lock|Unable to lock|Unable to acquire the dpkg frontend lock"
)
INTERRUPTED = "dpkg --configure -a"  #: part of what apt says after dpkg was killed
QUIET = {
    "DEBIAN_FRONTEND": "noninteractive",
    "DEBIAN_PRIORITY": "critical",
    "APT_LISTCHANGES_FRONTEND": "none",
    "NEEDRESTART_MODE": "l",  # only list what would have to be restarted
    "UCF_FORCE_CONFFOLD": "1",
    "LC_ALL": "C.UTF-8",  # we read what they write
}


def ask(*argv: str) -> subprocess.CompletedProcess[str]:
    """Run a command that changes nothing. Raises Fail if it cannot be started."""
    try:
        return subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env=_environment(),
        )
    except OSError as error:
        raise Fail(f"{argv[0]} cannot be run: {error.strerror}") from None


def change(*argv: str) -> None:
    """Run a command that changes the system, its output into our own. Raises Fail with its words.

    Where another tool holds the lock it waits. What a killed dpkg left is finished first.
    """
    deadline = time.monotonic() + LOCK_WAIT
    repaired = False
    while True:
        status, complaints = _run(argv)
        if status == 0:
            return
        if INTERRUPTED in complaints and not repaired:
            repaired = True
            _run(["dpkg", "--force-confdef", "--force-confold", "--configure", "-a"])
        elif LOCKED.search(complaints) and time.monotonic() < deadline:
            time.sleep(2)
        else:
            raise Fail(f"{argv[0]} ended with {status}: {_gist(complaints)}")


def _run(argv: Sequence[str]) -> tuple[int, str]:
    """The exit status and what was written to standard error.

    Both streams go to files and are copied to ours meanwhile: daemons that maintainer scripts
    start keep them open, and would hold our own streams, or block when nobody reads these.
    """
    print("+", *argv, flush=True)
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as complaints:
        try:
            # on SIGTERM this waits until the tool, which got the signal, too, has ended
            with subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=output, stderr=complaints, env=_environment()
            ) as process:
                copies = [_Copy(output, sys.stdout), _Copy(complaints, sys.stderr)]
                try:
                    while not _has_ended(process):
                        _advance(copies)
                finally:
                    _advance(copies)
        except OSError as error:
            raise Fail(f"{argv[0]} cannot be run: {error.strerror}") from None
        complaints.seek(0)
        return process.returncode, complaints.read(1024 * 1024).decode(errors="replace")


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(LOOK)
    except subprocess.TimeoutExpired:
        return False
    return True


@dataclass(slots=True)
class _Copy:
    """A file that grows, and the stream that gets what it grows by."""

    file: IO[bytes]
    stream: TextIO
    done: int = 0  # bytes


def _advance(copies: Sequence[_Copy]) -> None:
    for copy in copies:
        while chunk := os.pread(copy.file.fileno(), 65_536, copy.done):
            copy.done += len(chunk)
            copy.stream.buffer.write(chunk)
        copy.stream.flush()


def _gist(complaints: str) -> str:
    """The lines that say what was wrong, without warnings and advice."""
    lines = [line.strip() for line in complaints.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("E: ", "Error: ", "dpkg: error"))]
    return "; ".join(errors or lines[-3:])[:1000] or "it said nothing"


def _environment() -> dict[str, str]:
    path = os.environ.get("PATH", "/usr/local/bin:/usr/bin:/bin")
    # what this run is told is nothing to daemons that it starts; ending the run spares them, too
    own = {name: value for name, value in os.environ.items() if not name.startswith("FLEETJOBS_")}
    return {**own, **QUIET, "PATH": f"{path}:/usr/local/sbin:/usr/sbin:/sbin"}
