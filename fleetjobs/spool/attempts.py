"""Attempts: one try of a run, on the node's disk."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from fleetjobs.errors import BrokenRun, InvalidDocument
from fleetjobs.messages import Stage
from fleetjobs.names import JobId, job_id
from fleetjobs.spool.durable import read_file, replace_file, write_file


@dataclass(frozen=True, slots=True, order=True)
class RunKey:
    """The name of an attempt on its node."""

    job: JobId
    attempt: int  # 1 is the first

    def __str__(self) -> str:
        return f"{self.job}.{self.attempt}"

    @classmethod
    def read(cls, text: str) -> "RunKey":
        """The key in `<job>.<attempt>`. Raises InvalidDocument."""
        job, _, attempt = text.partition(".")
        if not (attempt.isascii() and attempt.isdigit()):
            raise InvalidDocument(f"{text[:80]!r} names no attempt of a job")
        return cls(job_id(job), int(attempt))


class Holder(Struct, frozen=True):
    """A process that has taken something: named for good, whatever becomes of its pid."""

    pid: int
    birth: int  # clock ticks since boot
    boot: str  # the kernel's id of that boot


class Program(Struct, frozen=True, kw_only=True):
    """The process an action is at work in, and its time."""

    holder: Holder  # leads its own process group
    started_at: datetime
    deadline: float  # seconds of the monotonic clock, which all processes of a boot share
    provider: str = "fleetjobs"  # by whose contract it answers


class Accepted(Struct, frozen=True, kw_only=True):
    """What a node keeps of a run that it accepted."""

    accepted_at: datetime
    delivery: str  # sealed
    request: str  # sealed
    generation: int = 0  # of the delivery

    def write(self, path: Path) -> None:
        """Write it with its checksum, durably. Raises OSError."""
        content = msgspec.json.encode(self)
        write_file(path, sha256(content).hexdigest().encode() + b"\n" + content)

    @classmethod
    def read(cls, path: Path) -> "Accepted":
        """What was written. Raises BrokenRun if the disk gives back anything else, or SpoolFull."""
        try:
            checksum, _, content = read_file(path).partition(b"\n")
        except OSError as error:
            raise BrokenRun(f"{path}: {error.strerror}") from None
        if checksum != sha256(content).hexdigest().encode():
            raise BrokenRun(f"{path}: was cut or altered on disk")
        try:
            return msgspec.json.decode(content, type=cls)
        except msgspec.MsgspecError as error:
            raise BrokenRun(f"{path}: {error}") from None


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """An attempt on disk; read anew at each question, for other processes write here.

    Every question raises SpoolFull if nothing can be read now.
    """

    key: RunKey
    path: Path
    outbox: Path  # where its final reply waits to be confirmed

    @property
    def accepted(self) -> Accepted:
        """What was accepted, and when. Raises BrokenRun."""
        return Accepted.read(self.path / "accepted")

    @property
    def accepted_at(self) -> datetime:
        """When it was accepted. Raises BrokenRun."""
        return self.accepted.accepted_at

    def delivery(self) -> str:
        """The sealed delivery. Raises BrokenRun."""
        return self.accepted.delivery

    def request(self) -> str:
        """The sealed request. Raises BrokenRun."""
        return self.accepted.request

    def claim(self, holder: Holder, generation: int | None = None) -> bool:
        """Take the attempt; False if it was ever taken. Durable on return.

        With a generation, only what was accepted with it: what was withdrawn may have come anew.
        Nor is taken what is being removed, whose claim may be gone already. Raises OSError.
        """
        with _opened(self.path) as directory:
            if generation is not None and not _is_of(directory, generation):
                return False
            aside = f"claim.{holder.pid or holder.boot}"  # threads may call it back and expire it
            write_file(aside, msgspec.json.encode(holder), directory=directory)
            try:  # atomic, and whole at once: O_EXCL is not whole
                os.link(aside, "claim", src_dir_fd=directory, dst_dir_fd=directory)
            except FileExistsError:
                return False
            finally:
                os.unlink(aside, dir_fd=directory)
            os.fsync(directory)
            if _is_at(self.path, directory):
                return True
            with suppress(FileNotFoundError):
                os.unlink("claim", dir_fd=directory)
            return False

    def take_over(self, holder: Holder) -> None:
        """Take the attempt from a holder who is dead. Raises OSError."""
        replace_file(self.path / "claim", msgspec.json.encode(holder))

    @property
    def is_withdrawn(self) -> bool:
        """Whether it was taken back before it began."""
        return self.holder() == WITHDRAWN

    def holder(self) -> Holder | None:
        """Who took the attempt last; None if nobody ever did."""
        return _read(self.path / "claim", Holder, NOBODY)

    def announce(self, program: Program) -> None:
        """Write down the process that is about to begin, for who may take over. Raises OSError."""
        replace_file(self.path / "program", msgspec.json.encode(program))

    def program(self) -> Program | None:
        """The process the action began in; None if it never began, or that cannot be known."""
        return _read(self.path / "program", Program, None)

    def started_at(self) -> datetime | None:
        """When the action began; None if it did not."""
        program = self.program()
        return program.started_at if program else None

    def final(self) -> str | None:
        """The sealed final reply, once there is one; it never changes.

        What else a program has put in its place, or a disk cannot read any more, is none.
        """
        kept = self.path / "final"
        for path in (kept, self.outbox / f"{self.key}.{Stage.FINISHED}", kept):
            try:  # it moves from the outbox to the run when confirmed, perhaps just now
                return read_file(path).decode("ascii", "replace")
            except OSError:
                continue
        return None

    @property
    def is_settled(self) -> bool:
        """Whether there is a final reply, confirmed or not."""
        return self.final() is not None


NOBODY = Holder(0, 0, "")  #: holds what has been taken by a process that cannot be read any more
WITHDRAWN = Holder(0, 0, "withdrawn")  #: holds what was taken back: no runner can take it then
EXPIRED = Holder(0, 0, "expired")  #: holds what was not begun in time

S = TypeVar("S", bound=Struct)


def _is_of(directory: int, generation: int) -> bool:
    """Read in the directory that is open: its path may mean another one by now."""
    try:
        return Accepted.read(Path(f"/proc/self/fd/{directory}/accepted")).generation == generation
    except BrokenRun:
        return True  # whoever takes it says that it is broken


def _is_at(path: Path, directory: int) -> bool:
    """Whether the path still means the directory that is open: what is removed is moved first."""
    try:
        return os.path.samestat(path.stat(), os.fstat(directory))
    except FileNotFoundError:
        return False


@contextmanager
def _opened(directory: Path) -> Iterator[int]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _read(path: Path, kind: type[S], broken: S | None) -> S | None:
    try:
        return msgspec.json.decode(read_file(path), type=kind)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError):
        return broken
