"""Program: begin the process that an action is at work in.

The process is forked, waits until it has been announced on disk, and only then begins. If its
runner dies before that, it never begins; after that, whoever looks at the disk finds it.
"""

import gc
import os
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from fleetjobs.agent import NotLoadable, load, serve
from fleetjobs.node.interpreters import why_not
from fleetjobs.node.protocols.words import Call
from fleetjobs.node.streams import NAMES, pipe_path
from fleetjobs.spool.attempts import Program

_NOT_BEGUN = 127  # exit status of a process that could not begin; as shells have it
_WHY_LIMIT = 4096  # bytes; what a pipe takes at once
_LAST = 256  # descriptors above are not looked for: the runner has opened a dozen


@dataclass(frozen=True, slots=True)
class Begun:
    """A process that was told to begin."""

    program: Program
    why: int  # reads why it could not begin; nothing if it could

    def trouble(self) -> str:
        """Why the action could not begin; empty if it could. Ask when the process has ended."""
        os.set_blocking(self.why, False)
        try:
            return os.read(self.why, _WHY_LIMIT).decode("utf-8", "replace")
        except BlockingIOError:
            return ""


def begin(call: Call, directory: Path, announce: Callable[[int], Program]) -> Begun:
    """Fork, announce the process (its pid), let it begin. Raises OSError; nothing has begun then.

    Its streams are the pipes in the run directory; it leads a group of its own.
    """
    go_read, go_write = os.pipe()
    why_read, why_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        _be_program(call, directory, go_read, why_write)
    os.close(go_read)
    os.close(why_write)
    try:
        os.setpgid(pid, pid)  # in both processes, for neither knows who is first
        program = announce(pid)
        os.write(go_write, b"!")
    finally:
        os.close(go_write)
    return Begun(program, why_read)


def _be_program(call: Call, directory: Path, go: int, why: int) -> NoReturn:
    """The child."""
    status: int = _NOT_BEGUN
    try:
        gc.enable()  # an agent in Python may live long, and make much
        os.setpgid(0, 0)
        _take_place(directory, keep=(go, why))
        os.chdir(call.directory)
        if os.read(go, 1):  # nothing: the runner died, and nobody knows of us
            os.close(go)
            status = _act(call, why)
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException:  # noqa: BLE001  the rim of a process: it must not go on as its parent
        traceback.print_exc()
        status = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _take_place(directory: Path, *, keep: tuple[int, int]) -> None:
    """Signals and descriptors as a program expects them."""
    signal.set_wakeup_fd(-1)
    for caught in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGPIPE, signal.SIGUSR1):
        signal.signal(caught, signal.SIG_DFL)
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    for number, name in enumerate(NAMES, start=1):
        # for reading too: a pipe whose only reader is the runner would kill us when that dies
        os.dup2(os.open(pipe_path(directory, name), os.O_RDWR), number)
    low = 3
    for descriptor in sorted(keep):
        os.closerange(low, descriptor)
        low = descriptor + 1
    os.closerange(low, _LAST)


def _act(call: Call, why: int) -> int:
    """Become the program, or serve as the Python agent; the exit status if there is no program."""
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    os.umask(0o022)
    try:
        if call.module is None:
            os.execve(call.argv[0], call.argv, dict(call.environment))  # noqa: S606  argv
        os.environ.clear()
        os.environ.update(call.environment)
        sys.argv = [str(call.module)]
        served = load(call.module)
    except (OSError, NotLoadable) as error:
        os.write(why, why_not(error).encode()[:_WHY_LIMIT])
        traceback.print_exc()
        return _NOT_BEGUN
    os.close(why)
    serve(served, call.environment)
    return 0
