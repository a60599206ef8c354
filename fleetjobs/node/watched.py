"""Watched files: read what an administrator wrote, again whenever it changes."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Generic, TypeVar

from fleetjobs.errors import Fault, InvalidSetting, SpoolFull, is_shortage
from fleetjobs.policy import Policy, deny_all, read_policy
from fleetjobs.signing import VerifyKey

logger = logging.getLogger(__name__)
T = TypeVar("T")


class Watched(Generic[T]):
    """A value made from a path; made anew when the file, its rights or its place change."""

    def __init__(self, path: Path, read: Callable[[Path], T]) -> None:
        self._path = path
        self._read = read
        self._seen: tuple[int, ...] | None = None
        self._value: T | None = None

    def value(self) -> T:
        """The value as of now. Raises what `read` raises; costs one stat when nothing changed.

        Raises SpoolFull if nothing can be read now: that says nothing of the file, and is not kept.
        """
        seen = self._stamp()
        if self._value is None or seen != self._seen:
            try:
                self._value = self._read(self._path)
            except OSError as error:
                if is_shortage(error):
                    why = f"{self._path} cannot be read now: {error.strerror}"
                    raise SpoolFull(why) from error
                raise
            self._seen = seen
        return self._value

    def _stamp(self) -> tuple[int, ...]:
        """What differs when it was changed, or who may read it; empty if it is not there.

        Of the file's times ctime is the one that cannot be set back.
        """
        try:
            status = self._path.stat()
        except OSError:
            return ()
        return (status.st_ctime_ns, status.st_mtime_ns, status.st_size, status.st_ino)


def trusted_keys(directory: Path) -> Mapping[str, VerifyKey]:
    """The keys in a directory, one file each, named `<key id>.pub`, holding base64url.

    A file that cannot be read is left out and logged: nobody is trusted by mistake. Raises OSError
    where that may be another one the next moment.
    """
    keys = {}
    for path in sorted(directory.glob("*.pub")):
        try:
            keys[path.stem] = VerifyKey.from_text(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, InvalidSetting) as error:
            if isinstance(error, OSError) and is_shortage(error):
                raise
            logger.error("key left out: %s: %s", path, error)
    return keys


def policy_in(path: Path) -> Policy:
    """The policy in a file; if anything is wrong with it, everything is denied, saying why.

    Raises OSError if nothing can be read now.
    """
    try:
        return read_policy(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, Fault) as error:
        if isinstance(error, OSError) and is_shortage(error):
            raise
        logger.error("everything is denied: policy %s: %s", path, error)
        return deny_all(error.strerror or "" if isinstance(error, OSError) else str(error))
