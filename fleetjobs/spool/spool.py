"""Spool: accept runs, keep their replies until the broker has them."""

import logging
import os
import shutil
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from errno import EEXIST, ENOTEMPTY
from pathlib import Path

from fleetjobs.errors import BrokenRun, DuplicateRun, InvalidDocument, SpoolFull
from fleetjobs.messages import Stage
from fleetjobs.names import JobId
from fleetjobs.spool.attempts import WITHDRAWN, Accepted, Holder, RunDirectory, RunKey
from fleetjobs.spool.durable import make_directory, read_file, sync_directory, write_file
from fleetjobs.spool.fences import Fences

logger = logging.getLogger(__name__)

_STAGES = frozenset(str(stage) for stage in Stage)


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """A reply on disk that the broker has not confirmed."""

    key: RunKey
    stage: Stage
    path: Path

    def sealed(self) -> str:
        """What is to be sent. Raises OSError, or SpoolFull if nothing can be read now."""
        return read_file(self.path).decode("ascii", "replace")


class Spool:
    """The spool in a directory. Worker and runners each make their own; they share the disk.

    Every refusal of the disk (full, over quota, read-only, no inodes, no descriptors) is SpoolFull:
    then nothing was accepted and nothing is half written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._incoming = root / "incoming"
        self._runs = root / "runs"
        self._outbox = root / "outbox"
        self._broken = root / "broken"
        fences = root / "fences"
        for directory in (self._incoming, self._runs, self._outbox, self._broken, fences):
            make_directory(directory)
        self.fences = Fences(fences, self._incoming)
        self._new: deque[RunDirectory] = deque()
        self._latest: dict[JobId, int] | None = None  # of jobs that have more than one attempt

    def add(
        self,
        key: RunKey,
        *,
        delivery: str,
        request: str,
        accepted_at: datetime,
        generation: int = 0,
    ) -> RunDirectory:
        """Keep a request; durable on return. Raises DuplicateRun, SpoolFull."""
        run = self._directory(key)
        aside = self._incoming / f"{os.getpid()}.{key}"
        accepted = Accepted(
            accepted_at=accepted_at, delivery=delivery, request=request, generation=generation
        )
        try:
            aside.mkdir(mode=0o700, exist_ok=True)
            accepted.write(aside / "accepted")
            sync_directory(aside)
            aside.rename(run.path)  # atomic; fails on a directory that is not empty
            self._sync(run, aside)
        except OSError as error:
            shutil.rmtree(aside, ignore_errors=True)
            if error.errno in {EEXIST, ENOTEMPTY}:
                raise DuplicateRun(f"{key} was accepted before") from None
            raise SpoolFull(f"{self.root} takes no more: {error.strerror}") from error
        self._note(key)
        self._new.append(run)
        return run

    def _sync(self, run: RunDirectory, aside: Path) -> None:
        """Make it last that the run is there; else it is not, for nobody is told of it."""
        try:
            sync_directory(self._runs)
        except OSError:
            run.path.rename(aside)
            raise

    def take_back(self, run: RunDirectory, as_what: Holder = WITHDRAWN) -> bool:
        """Keep every runner from the attempt; False if one has it. Durable on return.

        Raises SpoolFull.
        """
        try:
            return run.claim(as_what) or run.holder() == as_what
        except FileNotFoundError:
            return False
        except OSError as error:
            raise SpoolFull(f"{self.root} takes no more: {error.strerror}") from error

    def remove(self, run: RunDirectory) -> None:
        """Forget an attempt; all of it is gone, or nothing is. Raises SpoolFull."""
        aside = self._incoming / f"{os.getpid()}.{run.key}.gone"
        try:
            run.path.rename(aside)
            sync_directory(self._runs)
        except FileNotFoundError:  # gone before
            return
        except OSError as error:
            raise SpoolFull(f"{self.root} takes no change: {error.strerror}") from error
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def generation(self, key: RunKey) -> int:
        """The highest generation known of the attempt."""
        fence = self.fences.find(key)
        try:
            accepted = self._directory(key).accepted.generation
        except BrokenRun:
            accepted = 0
        return max(accepted, fence.generation if fence else 0)

    def latest(self, job: JobId) -> int:
        """The highest attempt of the job that was accepted; 1 if no higher one was."""
        if self._latest is None:
            self._latest = {}
            for run in self.runs():
                self._note(run.key)
        return self._latest.get(job, 1)

    def _note(self, key: RunKey) -> None:
        if self._latest is not None and key.attempt > self._latest.get(key.job, 1):
            self._latest[key.job] = key.attempt

    def earlier(self, key: RunKey) -> list[RunDirectory]:
        """The job's earlier attempts that have not come to their end, the latest first."""
        found = (self.find(RunKey(key.job, number)) for number in range(key.attempt - 1, 0, -1))
        return [run for run in found if run is not None and not run.is_settled]

    def take_new(self) -> list[RunDirectory]:
        """The runs added through this object since the last call."""
        return [self._new.popleft() for _ in range(len(self._new))]

    def find(self, key: RunKey) -> RunDirectory | None:
        """The attempt, if it was ever accepted."""
        run = self._directory(key)
        return run if run.path.is_dir() else None

    def attempts(self, job: JobId) -> list[RunDirectory]:
        """The job's attempts, the first first."""
        numbers = range(1, self.latest(job) + 1)
        found = (self.find(RunKey(job, number)) for number in numbers)
        return [run for run in found if run is not None]

    def runs(self) -> list[RunDirectory]:
        """Every attempt on disk, in no order; what is none is set aside."""
        return [self._directory(key) for _, key, _ in self._named(self._runs, staged=False)]

    def unsettled(self) -> list[RunDirectory]:
        """The attempts without a final reply; two looks per attempt, so ask once, at the start."""
        finished = {entry.key for entry in self.outbox() if entry.stage is Stage.FINISHED}
        return [
            run
            for run in self.runs()
            if run.key not in finished and not (run.path / "final").is_file()
        ]

    def broken(self) -> list[str]:
        """The names of what was set aside, because it was no run and no reply."""
        return sorted(path.name for path in self._broken.iterdir())

    def put_reply(self, key: RunKey, stage: Stage, sealed: str) -> None:
        """Have a reply sent; durable on return. The first final reply of an attempt stands.

        Raises SpoolFull.
        """
        name = f"{key}.{stage}"
        aside = self._incoming / f"{os.getpid()}.{name}"
        try:
            write_file(aside, sealed.encode("ascii"))
            if stage is Stage.FINISHED:
                self._settle(aside, self._directory(key), self._outbox / name)
            else:
                aside.rename(self._outbox / name)
            sync_directory(self._outbox)
        except OSError as error:
            aside.unlink(missing_ok=True)
            raise SpoolFull(f"{self.root} takes no more: {error.strerror}") from error

    def _settle(self, aside: Path, run: RunDirectory, place: Path) -> None:
        if not run.is_settled:
            try:
                os.link(aside, place)
            except FileExistsError:
                logger.warning("run %s was settled twice at once; the first reply stands", run.key)
        aside.unlink()

    def outbox(self, limit: int | None = None) -> list[OutboxEntry]:
        """The replies to be sent, oldest first."""
        found = self._named(self._outbox, staged=True)
        found.sort(key=lambda each: (_written_at(each[0]), str(each[1]), each[2] == Stage.FINISHED))
        return [OutboxEntry(key, Stage(stage), path) for path, key, stage in found[:limit]]

    def confirm(self, entry: OutboxEntry) -> None:
        """The broker has it: forget a note on the way, keep a final reply with its run."""
        if entry.stage is Stage.FINISHED:
            place = self._directory(entry.key).path / "final"
            try:
                entry.path.rename(place)
            except FileNotFoundError:  # confirmed before, or its run is gone
                entry.path.unlink(missing_ok=True)
            except IsADirectoryError:  # of a program; nothing that is sent may wait for it
                self.set_aside(place, f"{entry.key}.final")
                entry.path.rename(place)
        else:
            entry.path.unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove what killed processes were writing when they died."""
        for path in self._incoming.iterdir():
            writer = path.name.partition(".")[0]
            if not Path("/proc", writer).exists():
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)

    def _directory(self, key: RunKey) -> RunDirectory:
        return RunDirectory(key, self._runs / str(key), self._outbox)

    def _named(self, directory: Path, *, staged: bool) -> list[tuple[Path, RunKey, str]]:
        """What lies in the directory, read by name; anything else moves to broken/."""
        try:
            with os.scandir(directory) as entries:
                read = [(entry.path, _read_name(entry, staged=staged)) for entry in entries]
        except OSError as error:
            raise SpoolFull(f"{directory} cannot be read now: {error.strerror}") from error
        for path, name in read:
            if name is None:
                self.set_aside(Path(path))
        return [(Path(path), *name) for path, name in read if name is not None]

    def set_aside(self, path: Path, name: str = "") -> None:
        """Put what is no part of a spool, or cannot be read, where it stops nothing."""
        logger.error("%s is no part of a spool, set aside in %s", path, self._broken)
        try:
            path.rename(self._broken / (name or path.name))
        except OSError as error:
            logger.error("%s stays where it is: %s", path, error.strerror)


def _read_name(entry: os.DirEntry[str], *, staged: bool) -> tuple[RunKey, str] | None:
    """A run is a directory named by its key; a reply is a file, with its stage added."""
    stem, _, stage = entry.name.rpartition(".") if staged else (entry.name, "", "")
    if entry.is_dir() == staged or (staged and stage not in _STAGES):
        return None
    try:
        return RunKey.read(stem), stage
    except InvalidDocument:
        return None


def _written_at(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
