"""Fences: what was ordered of an attempt; on the disk before the order is acknowledged.

A fence outlives its attempt and may come before it: whatever arrives in which order, no delivery
of the fence's generation or a lower one is begun any more.
"""

import logging
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from fleetjobs.errors import InvalidDocument, SpoolFull
from fleetjobs.messages import Verb
from fleetjobs.spool.attempts import RunKey
from fleetjobs.spool.durable import read_file, sync_directory, write_file

logger = logging.getLogger(__name__)


class Fence(Struct, frozen=True, kw_only=True):
    """The order that counts."""

    generation: int  # the highest of all orders
    verb: Verb  # a stop is never taken back
    at: datetime  # when it came
    why: str = "cancelled"  # for people

    @property
    def is_stop(self) -> bool:
        """Whether the attempt has to end, even if it has begun."""
        return self.verb is Verb.STOP

    def bars(self, generation: int) -> bool:
        """Whether a delivery of that generation may not be begun."""
        return self.is_stop or generation <= self.generation


class Fences:
    """The fences in a directory, a file each. Worker and runners each make their own."""

    def __init__(self, directory: Path, incoming: Path) -> None:
        """Take both directories, on one filesystem; they are made by the spool."""
        self._directory = directory
        self._incoming = incoming
        self._lock = threading.Lock()
        self._is_synced = True  # else one is there that a power cut may take away

    def find(self, key: RunKey) -> Fence | None:
        """What was ordered of the attempt, if anything was.

        A fence that cannot be read any more is one all the same: it counts as a stop.
        Raises SpoolFull if nothing can be read now.
        """
        path = self._path(key)
        try:
            return msgspec.json.decode(read_file(path), type=Fence)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            logger.error("fence %s: %s", path, error)
            at = datetime.fromtimestamp(0, UTC)
            return Fence(generation=0, verb=Verb.STOP, at=at, why="its order was lost on disk")

    def put(self, key: RunKey, fence: Fence) -> Fence:
        """Have the order count if none does that is higher; the one that counts, durably.

        Raises SpoolFull.
        """
        with self._lock:
            known = self.find(key)
            raised = higher(known, fence)
            if raised != known or not self._is_synced:
                self._write(key, raised)
            return raised

    def _write(self, key: RunKey, fence: Fence) -> None:
        aside = self._incoming / f"{os.getpid()}.{key}.fence"
        try:
            write_file(aside, msgspec.json.encode(fence))
            self._is_synced = False
            aside.rename(self._path(key))
            sync_directory(self._directory)
            self._is_synced = True
        except OSError as error:
            aside.unlink(missing_ok=True)
            raise SpoolFull(f"{self._directory} takes no more: {error.strerror}") from error

    def forget(self, key: RunKey) -> None:
        """Remove a fence that nothing can run against any more."""
        self._path(key).unlink(missing_ok=True)

    def written(self) -> Iterator[tuple[RunKey, datetime]]:
        """All fences and when they were put there."""
        for path in self._directory.iterdir():
            try:
                yield RunKey.read(path.name), datetime.fromtimestamp(path.stat().st_mtime, UTC)
            except (InvalidDocument, FileNotFoundError):
                continue

    def _path(self, key: RunKey) -> Path:
        return self._directory / str(key)


def higher(known: Fence | None, fence: Fence) -> Fence:
    """Of two orders the one that counts: a stop for good, and the highest generation."""
    if known is None:
        return fence
    newer = fence.is_stop or fence.generation > known.generation
    counts = known if known.is_stop or not newer else fence
    generation = max(known.generation, fence.generation)
    return msgspec.structs.replace(counts, generation=generation)
