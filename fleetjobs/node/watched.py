"""Watched files: read what an administrator wrote, again whenever it changes."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Generic, TypeVar

from fleetjobs.errors import Fault, InvalidSetting
from fleetjobs.policy import DENY_ALL, Policy, read_policy
from fleetjobs.signing import VerifyKey

logger = logging.getLogger(__name__)
T = TypeVar("T")


class Watched(Generic[T]):
    """A value made from a path; made anew when its modification time, size or inode changes."""

    def __init__(self, path: Path, read: Callable[[Path], T]) -> None:
        self._path = path
        self._read = read
        self._seen: tuple[int, int, int] | None = None
        self._value: T | None = None

    def value(self) -> T:
        """The value as of now. Raises what `read` raises; costs one stat when nothing changed."""
        try:
            status = self._path.stat()
            seen = (status.st_mtime_ns, status.st_size, status.st_ino)
        except OSError:
            seen = (0, 0, 0)
        if self._value is None or seen != self._seen:
            self._value = self._read(self._path)
            self._seen = seen
        return self._value


def trusted_keys(directory: Path) -> Mapping[str, VerifyKey]:
    """The keys in a directory, one file each, named `<key id>.pub`, holding base64url.

    A file that cannot be read is left out and logged: nobody is trusted by mistake.
    """
    keys = {}
    for path in sorted(directory.glob("*.pub")):
        try:
            keys[path.stem] = VerifyKey.from_text(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, InvalidSetting) as error:
            logger.error("key left out: %s: %s", path, error)
    return keys


def policy_in(path: Path) -> Policy:
    """The policy in a file; if anything is wrong with it, everything is denied and logged why."""
    try:
        return read_policy(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, Fault) as error:
        logger.error("everything is denied: policy %s: %s", path, error)
        return DENY_ALL
