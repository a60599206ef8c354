"""Files: which log files may be read, and their unpacked content in blocks of whole lines."""

import bz2
import glob
import gzip
import json
import lzma
import os
import stat
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from log_times import Sieve, Window, find_start

BLOCK = 1024 * 1024  #: bytes of a block, and of the longest line that is matched as one
MOST_FILES = 10_000
CONFIG = Path("/etc/fleetjobs/agents/logs.json")  #: {"roots": ["/var/log", …]}
ROOTS = ("/var/log",)  #: where there is no such file
MAGIC = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
UNREADABLE = (b"\x28\xb5\x2f\xfd",)  #: zstd


class Unfit(Exception):
    """A path that cannot be searched, and why."""


def read_roots() -> tuple[str, ...]:
    """The directories under which files may be searched, as the node's administrator says.

    FLEETJOBS_LOGS_CONFIG names another file than CONFIG. Raises Unfit if the file cannot be read:
    a mistake in it must not open more than it was to.
    """
    path = Path(os.environ.get("FLEETJOBS_LOGS_CONFIG") or CONFIG)
    try:
        roots = json.loads(path.read_text())["roots"]
    except FileNotFoundError:
        roots = ROOTS
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Unfit(f"{path} does not hold a list of roots: {error!r}") from None
    if not all(isinstance(root, str) and root.startswith("/") for root in roots):
        raise Unfit(f"{path}: the roots are to be absolute paths")
    return tuple(os.path.realpath(root) for root in roots)


@dataclass(frozen=True, slots=True)
class Found:
    """A file that a path or glob named."""

    path: str
    changed: float
    size: int  # bytes on disk


def find_files(patterns: Sequence[str], roots: Sequence[str]) -> list[Found]:
    """The files that the paths and globs name, in the order of their last change.

    A path without wildcards has to exist. Raises Unfit, also for what lies outside the roots.
    """
    paths: set[str] = set()
    for pattern in patterns:
        prefix = _static_part(pattern)
        if not is_under(os.path.realpath(prefix), roots):
            raise Unfit(f"{pattern} is not under {', '.join(roots)}")
        if prefix == pattern and not Path(pattern).is_file():
            raise Unfit(f"{pattern} is not a file here")
        for path in glob.iglob(pattern, recursive=True):  # noqa: PTH207  as given
            paths.add(path)
            if len(paths) > MOST_FILES:
                raise Unfit(f"{pattern} and the others name more than {MOST_FILES} files")
    found = (_look(path) for path in paths)
    return sorted((file for file in found if file), key=lambda file: (file.changed, file.path))


def is_under(path: str, roots: Sequence[str]) -> bool:
    """Whether the real path is one of the roots or lies beneath one."""
    return any(path == root or path.startswith(root.rstrip("/") + "/") for root in roots)


def open_file(found: Found, roots: Sequence[str]) -> IO[bytes]:
    """The file, open. Raises Unfit, also if its real place is outside the roots; OSError."""
    # non-blocking: the name may have become a pipe's since we looked
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
    file = os.fdopen(os.open(found.path, flags), "rb", buffering=0)
    real = str(Path(f"/proc/self/fd/{file.fileno()}").readlink()).removesuffix(" (deleted)")
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode) and is_under(real, roots):
        return file
    file.close()
    raise Unfit(f"it is {real}, which may not be searched")


class Content:
    """What one open file holds, unpacked; tells how much was read and what went wrong."""

    def __init__(self, file: IO[bytes], found: Found, window: Window | None) -> None:
        self.bytes = 0  # read, unpacked
        self.why: str | None = None  # it could not be read to its end, or had no times
        self._file = file
        self._found = found
        self._window = window

    def blocks(self) -> Iterator[bytes]:
        """The blocks within the window; after an error in the file, those before it."""
        sieve = Sieve(self._window, self._found.changed) if self._window else None
        try:
            blocks = self._all_blocks()
            yield from sieve.sift(blocks) if sieve else blocks
        except (OSError, EOFError, zlib.error, lzma.LZMAError, Unfit) as error:
            self.why = str(error) or type(error).__name__
        except MemoryError:
            self.why = "takes too much memory to unpack"
        else:
            if sieve and self.bytes and not sieve.dated:
                self.why = "its lines have no times that are understood"

    def _all_blocks(self) -> Iterator[bytes]:
        start = self._file.read(8)
        if start.startswith(UNREADABLE):
            raise Unfit("compressed with zstd, which is not read")
        self._file.seek(0)
        unpack = next((kind for magic, kind in MAGIC.items() if start.startswith(magic)), None)
        if unpack:
            # read1 gives what a broken file holds before the break; read would lose some of it
            return self._whole_lines(unpack(self._file).read1)
        if self._window:
            self._seek(self._window.since)
        return self._whole_lines(self._file.read)

    def _seek(self, since: float) -> None:
        """Leave out the part of a long plain file that is older."""

        def read(offset: int) -> bytes:
            return os.pread(self._file.fileno(), 65_536, offset)

        start = find_start(read, self._found.size, since, self._found.changed)
        first, newline, _ = read(start).partition(b"\n")
        self._file.seek(start + len(first) + len(newline) if start else 0)

    def _whole_lines(self, read: Callable[[int], bytes]) -> Iterator[bytes]:
        rest = b""
        while chunk := read(BLOCK):
            self.bytes += len(chunk)
            head, newline, tail = chunk.rpartition(b"\n")
            if newline:
                yield rest + head + newline
                rest = tail
            elif len(rest) + len(tail) < BLOCK:
                rest += tail
            else:  # a line without an end; the engine would take all of it into memory
                yield rest + tail + b"\n"
                rest = b""
        if rest:
            yield rest


def _static_part(pattern: str) -> str:
    """The pattern up to the last slash before its first wildcard."""
    if not glob.has_magic(pattern):
        return pattern
    parts = pattern.split("/")
    plain = next(index for index, part in enumerate(parts) if glob.has_magic(part))
    return "/".join(parts[:plain]) or "/"


def _look(path: str) -> Found | None:
    try:
        status = os.stat(path)  # noqa: PTH116  as given
    except OSError:  # gone since the glob; a link to nowhere
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return Found(path, status.st_mtime, status.st_size)
