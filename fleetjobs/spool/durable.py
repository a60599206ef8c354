"""Durable: files that are whole or absent, and still there after a power cut."""

import os
import stat
from errno import EINVAL
from pathlib import Path

from fleetjobs.errors import SpoolFull, is_shortage


def write_file(path: Path | str, content: bytes, *, directory: int | None = None) -> None:
    """Write a private file, replacing what was there; its content is on the disk on return.

    `directory` is a descriptor: a relative path is in there.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600, dir_fd=directory)
    try:
        rest = memoryview(content)
        while rest:  # a nearly full disk takes a part before it says ENOSPC
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_file(path: Path) -> bytes:
    """The content of a file, and of nothing else: a program may have put a pipe in its place.

    Raises OSError, or SpoolFull if that would say nothing of the file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            return _whole(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if is_shortage(error):
            raise SpoolFull(f"{path} cannot be read now: {error.strerror}") from error
        raise


def _whole(descriptor: int) -> bytes:
    """All that can be read; half the calls that a file object makes, and runners make many."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(EINVAL, "not a file")
    size = status.st_size + 1
    content = os.read(descriptor, size)
    while piece := os.read(descriptor, size):
        content += piece
    return content


def sync_directory(path: Path) -> None:
    """Bring the names in a directory to the disk: a rename is durable only then. fsync(2)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(path: Path) -> None:
    """Have a private directory, and those above it; a new one is still there after a power cut."""
    if path.is_dir():
        return
    make_directory(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
    sync_directory(path.parent)


def replace_file(path: Path, content: bytes) -> None:
    """Put a file in place at once, for readers in other processes; not proof against power cuts."""
    aside = path.with_name(f"{path.name}.{os.getpid()}")
    aside.write_bytes(content)
    aside.replace(path)
