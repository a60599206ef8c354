"""Pruning: let go of what ended runs have left, but never of the fact that they were here."""

import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fleetjobs.documents import decode
from fleetjobs.errors import Fault, SpoolFull
from fleetjobs.messages import Delivery
from fleetjobs.signing import peek
from fleetjobs.spool.attempts import RunDirectory
from fleetjobs.spool.seen import Seen
from fleetjobs.spool.spool import Spool

logger = logging.getLogger(__name__)

WORK_KEPT = timedelta(hours=1)  #: the working directory of a run, after its reply was confirmed
FRESH = timedelta(days=400)  #: how long a delivery without `start_before` may still arrive


@dataclass(frozen=True, slots=True)
class _Ended:
    """A run whose final reply the broker has."""

    at: datetime  # when that was confirmed
    run: RunDirectory
    size: int  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruner:
    """Removes what is old, and the oldest of what is too much; nothing that has not ended."""

    spool: Spool
    gone: Seen  # what was removed: it must not be begun when it is delivered again
    clock: Callable[[], datetime]
    keep: timedelta
    keep_bytes: int

    def step(self) -> int:
        """Look through the spool once; how many runs were removed. Raises SpoolFull."""
        now = self.clock()
        ended = sorted(self._ended(now), key=lambda each: each.at)
        total = sum(each.size for each in ended)
        removed = 0
        for each in ended:
            if now - each.at < self.keep and total <= self.keep_bytes:
                break
            self._remove(each.run, now)
            total -= each.size
            removed += 1
        self._forget_fences(now)
        if removed:
            logger.info("%d ended runs removed, %d bytes are left", removed, total)
        return removed

    def _ended(self, now: datetime) -> list[_Ended]:
        found = []
        for run in self.spool.runs():
            try:
                status = (run.path / "final").stat()
            except FileNotFoundError:
                continue
            at = datetime.fromtimestamp(status.st_ctime, UTC)  # it was moved there when confirmed
            if now - at > WORK_KEPT:
                shutil.rmtree(run.path / "work", ignore_errors=True)
            found.append(_Ended(at, run, _size(run.path)))
        return found

    def _remove(self, run: RunDirectory, now: datetime) -> None:
        try:
            self.gone.add(run.key, until=_last_moment(run) or now + FRESH)
        except SpoolFull:
            _strip(run)  # makes the room to remember it the next time
            raise
        self.spool.remove(run)
        self.spool.fences.forget(run.key)

    def _forget_fences(self, now: datetime) -> None:
        """Of attempts that never came, and by now cannot."""
        for key, at in self.spool.fences.written():
            if now - at > FRESH and self.spool.find(key) is None:
                self.spool.fences.forget(key)


def _strip(run: RunDirectory) -> None:
    """Remove what the run has written, and keep what it was and came to."""
    for name in ("stdout", "stderr", "progress", "reply.json"):
        (run.path / name).unlink(missing_ok=True)


def _last_moment(run: RunDirectory) -> datetime | None:
    """After which a delivery of it is refused anyway."""
    try:
        return decode(Delivery, peek(run.delivery())).start_before
    except Fault:
        return None


def _size(directory: Path) -> int:
    """Of the files in it, in bytes."""
    total = 0
    for place, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size  # noqa: PTH118  many
            except FileNotFoundError:
                continue
    return total
