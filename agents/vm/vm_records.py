"""Records: what is remembered of a volume or a guest, and who works on it now.

Each has a directory, made aside and renamed: it is there whole or not at all. Removing renames it
first, for the same reason. What an interrupted action left aside is swept by the next one.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fleetjobs.agent import Fail

RECORD = "record.json"
ASIDE = "."  #: what begins with it is being made or removed


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keep others from making and removing in that directory, or from working on one thing.

    It waits for quick work; the lock ends with the process that holds it.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def claimed(directory: Path) -> Iterator[None]:
    """Work on one thing. Raises Fail if it is not there, or another action works on it."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise Fail(f"there is no {directory.parent.name[:-1]} {directory.name}") from None
    try:
        _claim(descriptor, directory)
        yield
    finally:
        os.close(descriptor)


def _claim(descriptor: int, directory: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Fail(f"another action is at work on {directory.name}") from None


@contextmanager
def making(directory: Path) -> Iterator[Path]:
    """A directory to fill; it becomes `directory` at the end, and nothing if that fails.

    The parent has to be locked.
    """
    aside = directory.with_name(f"{ASIDE}{directory.name}")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        aside.mkdir(mode=0o711)
        yield aside
        aside.rename(directory)
    except OSError as error:
        raise Fail(f"{directory} cannot be made: {error.strerror}") from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def remove(directory: Path) -> None:
    """Remove it with all that it holds. The parent has to be locked."""
    aside = directory.with_name(f"{ASIDE}{directory.name}")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        directory.rename(aside)
        shutil.rmtree(aside)
    except OSError as error:
        raise Fail(f"{directory} cannot be removed: {error.strerror}") from None


def have(directory: Path) -> Path:
    """The directory, made if need be; what is in it is for root and whoever runs the guest."""
    try:
        directory.mkdir(mode=0o711, parents=True, exist_ok=True)
    except OSError as error:
        raise Fail(f"{directory} cannot be made: {error.strerror}") from None
    return directory


def read(directory: Path, name: str = RECORD) -> dict[str, Any] | None:
    """What is remembered of it; None if it is not there. Raises Fail if it cannot be read."""
    try:
        record: dict[str, Any] = json.loads((directory / name).read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise Fail(f"{directory / name} cannot be read: {error}") from None
    return record


def write(path: Path, record: Mapping[str, Any]) -> None:
    """Remember it: aside first, so that it is there whole or not at all."""
    aside = path.with_name(f"{ASIDE}{path.name}")
    with aside.open("w") as file:
        os.fchmod(file.fileno(), 0o600)
        json.dump(record, file)
        file.flush()
        os.fsync(file.fileno())
    aside.rename(path)
