"""Streams: what a program writes, kept up to a limit and counted beyond it.

They are named pipes which the program holds open for reading too. So a runner's death neither
ends them nor kills the program that writes; whoever takes over goes on reading.
"""

import fcntl
import os
import selectors
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fleetjobs.messages import Output

SENT_BYTES = 256 * 1024  #: of each stream, sent with the reply; the rest stays on the node
LEFT_BYTES = 8 * 1024 * 1024  #: of the disk, that outputs never take
_CHUNK = 1024 * 1024
_PIPE_BYTES = 1024 * 1024  # the most that an unprivileged process may ask for
#: a program may have put a pipe or a link in the file's place: that neither blocks nor misleads
_KEEPING = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW


@dataclass(slots=True)
class Stream:
    """One stream of a run: a pipe that is read into a file. `size` counts what was written."""

    pipe: int
    path: Path  # of the file
    limit: int  # bytes kept
    size: int
    file: int = -1  # made when there is something to keep: most runs are silent

    @classmethod
    def open(cls, directory: Path, name: str, limit: int) -> "Stream":
        """The stream of that name, anew or where a dead runner left it. Raises OSError."""
        path = pipe_path(directory, name)
        if not path.exists():
            os.mkfifo(path, 0o600)
        pipe = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with suppress(OSError):  # over the user's share: it works with less
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        file = directory / name
        return cls(pipe=pipe, path=file, limit=limit, size=_size(file))

    def read(self) -> bool:
        """Keep what there is; False at the end.

        The last of the disk is left to the replies: then text is lost, but not the count.
        """
        try:
            chunk = os.read(self.pipe, _CHUNK)
        except BlockingIOError:
            return True
        if not chunk:
            return False
        room = max(0, self.limit - self.size)
        self.size += len(chunk)
        if room and not self._keep(chunk[:room]):
            self.limit = 0  # no holes: what follows is not kept either
        return True

    def _keep(self, chunk: bytes) -> bool:
        try:
            if self.file < 0:
                self.file = os.open(self.path, _KEEPING, 0o600)
            disk = os.fstatvfs(self.file)
            if disk.f_bavail * disk.f_frsize < LEFT_BYTES:
                return False
            return os.write(self.file, chunk) == len(chunk)
        except OSError:
            return False

    def drain(self) -> None:
        """Keep what lies in the pipe, and wait for no more."""
        for _ in range(_PIPE_BYTES // 4096):  # bounded: a daemon left behind may write for ever
            before = self.size
            if not self.read() or self.size == before:
                return

    def close(self, directory: Path, name: str) -> Output | None:
        """The beginning and the size of what was written; None if nothing was."""
        os.close(self.pipe)
        if self.file >= 0:
            os.close(self.file)
        with suppress(OSError):
            pipe_path(directory, name).unlink()
        if not self.size:
            return None
        return Output(size=self.size, content=_begin_of(directory / name))


def _begin_of(path: Path) -> bytes:
    """The first of a file; nothing if the program has removed it or put something else there."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:  # the reply matters more
        return b""
    try:
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        return os.read(descriptor, SENT_BYTES) if is_file else b""
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # nothing was written yet
        return 0


NAMES = ("stdout", "stderr")


def pipe_path(directory: Path, name: str) -> Path:
    """Where the pipe of a stream lies."""
    return directory / f"{name}.pipe"


class Streams:
    """Both streams of a run."""

    def __init__(self, directory: Path, limit: int) -> None:
        """Open them. Raises OSError."""
        self._directory = directory
        self._streams = {name: Stream.open(directory, name, limit) for name in NAMES}

    def watch(self, selector: selectors.BaseSelector) -> None:
        """Have the selector tell when there is something to read."""
        for stream in self._streams.values():
            selector.register(stream.pipe, selectors.EVENT_READ, stream)

    def close(self) -> tuple[Output | None, Output | None]:
        """Read what is left; stdout and stderr, None if nothing was written."""
        for stream in self._streams.values():
            stream.drain()
        stdout, stderr = (
            stream.close(self._directory, name) for name, stream in self._streams.items()
        )
        return stdout, stderr
