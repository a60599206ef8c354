"""Seen: attempts that have no directory, so that none is begun twice."""

import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from errno import ENOSPC
from pathlib import Path

from fleetjobs.errors import SpoolFull
from fleetjobs.spool.attempts import RunKey
from fleetjobs.spool.durable import sync_directory, write_file

logger = logging.getLogger(__name__)

KEEP = timedelta(days=30)  #: how long an attempt without `start_before` is remembered
WORN_AT = 50_000  #: lines after which the journal is written anew, without what is over


class Seen:
    """A journal of attempts, a line each; survives the kill of its process.

    Unless `is_durable` not a power cut: then a query may be answered twice, and inline actions
    only query.
    """

    def __init__(
        self, path: Path, clock: Callable[[], datetime], *, is_durable: bool = False
    ) -> None:
        self._path = path
        self._clock = clock
        self._is_durable = is_durable
        self._until = _read(path)
        self._lines = self._worn_at = 0
        self._journal = -1
        self._renew()

    def __contains__(self, key: RunKey) -> bool:
        return str(key) in self._until

    def add(self, key: RunKey, until: datetime | None = None) -> bool:
        """Remember the attempt for as long as it could arrive again; False if it was seen before.

        Raises SpoolFull: then it is not remembered, and must not be begun.
        """
        name = str(key)
        if name in self._until:
            return False
        until = until or self._clock() + KEEP
        try:
            if self._lines >= self._worn_at:
                self._renew()
            self._append(f"{name} {until.timestamp():.0f}\n".encode())
        except OSError as error:
            raise SpoolFull(f"{self._path} takes no more: {error.strerror}") from error
        self._until[name] = until
        return True

    def _append(self, line: bytes) -> None:
        written = os.write(self._journal, line)
        if written < len(line):  # the disk filled up within the line: it must not stay half
            os.ftruncate(self._journal, os.fstat(self._journal).st_size - written)
            raise OSError(ENOSPC, os.strerror(ENOSPC))
        if self._is_durable:
            os.fsync(self._journal)
        self._lines += 1

    def _renew(self) -> None:
        """Write the journal anew with what is not over yet. Raises OSError: then it is done again.

        The old one is let go when the new one is there: its descriptor may be another's at once.
        """
        now = self._clock()
        self._until = {name: until for name, until in self._until.items() if until > now}
        lines = "".join(f"{name} {at.timestamp():.0f}\n" for name, at in self._until.items())
        aside = self._path.with_name(f"{self._path.name}.new")
        write_file(aside, lines.encode())
        journal = os.open(aside, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        old, self._journal = self._journal, journal
        if old >= 0:
            os.close(old)
        aside.replace(self._path)
        if self._is_durable:  # else the lines to come are in a file that nobody finds
            sync_directory(self._path.parent)
        self._lines = len(self._until)
        self._worn_at = max(WORN_AT, 2 * self._lines)


def _read(path: Path) -> dict[str, datetime]:
    """The journal's lines; a line cut short by a full disk is left out."""
    found = {}
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except FileNotFoundError:
        return {}
    for line in lines:
        name, _, until = line.partition(" ")
        try:
            found[name] = datetime.fromtimestamp(int(until), UTC)
        except (ValueError, OverflowError, OSError):
            logger.warning("%s: a line cannot be read: %.80r", path, line)
    return found
