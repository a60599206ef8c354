"""Volumes: disks of guests, as files that qemu-img makes."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vm_commands import ask, run
from vm_records import ASIDE, RECORD, claimed, have, locked, making, read, remove, write

from fleetjobs.agent import INVALID_DATA, Fail

MIB = 1024 * 1024
DISK = "disk"
FORMATS = ("raw", "qcow2")  #: of images; others may be made of several files


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume, and what is remembered of it."""

    directory: Path
    record: dict[str, Any]

    @property
    def disk(self) -> Path:
        """The file that a guest gets."""
        return self.directory / DISK

    @property
    def format(self) -> str:
        """How it is kept: qcow2, which grows, or raw."""
        return str(self.record["format"])

    @property
    def bytes(self) -> int:
        """What a guest sees."""
        return int(self.record["bytes"])

    @property
    def allocated(self) -> int:
        """Bytes that it takes of the node's disk by now."""
        return self.disk.stat().st_blocks * 512


@dataclass(frozen=True, slots=True)
class Volumes:
    """The volumes of the node."""

    root: Path

    def find(self, name: str) -> Volume | None:
        """The volume of that name."""
        record = read(self.root / name)
        return Volume(self.root / name, record) if record else None

    def get(self, name: str) -> Volume:
        """The volume of that name. Raises Fail if there is none."""
        found = self.find(name)
        if found is None:
            raise Fail(f"there is no volume {name}; make_volume makes one", INVALID_DATA)
        return found

    def make(self, name: str, *, size: int, form: str, job: str) -> Volume:
        """Make an empty volume of so many bytes, or find it made; `job` is who asks.

        Raises Fail if there is another one of that name, or no room to fill it.
        """
        with locked(have(self.root)):
            found = self.find(name)
            if found:
                if (found.bytes, found.format) == (size, form):
                    return found
                there = f"{found.bytes // MIB} MiB, {found.format}"
                raise Fail(f"there is a volume {name} already, of {there}", INVALID_DATA)
            self._expect_room(size)
            with making(self.root / name) as aside:
                run("qemu-img", "create", "-q", "-f", form, str(aside / DISK), str(size))
                (aside / DISK).chmod(0o600)
                write(aside / RECORD, {"bytes": size, "format": form, "job": job, "image": None})
        return self.get(name)

    def destroy(self, name: str) -> bool:
        """Remove a volume; whether there was one. Raises Fail if somebody works on it."""
        if not self.root.is_dir():
            return False
        with locked(self.root):
            if not (self.root / name).is_dir():
                return False
            with claimed(self.root / name):
                remove(self.root / name)
        return True

    def _expect_room(self, size: int) -> None:
        """All volumes have to fit when they are full: a full disk would stop every guest."""
        others = [self.find(path.name) for path in self.root.glob("[!.]*")]
        promised = sum(max(other.bytes - other.allocated, 0) for other in others if other)
        free = shutil.disk_usage(self.root).free
        if size > free - promised:
            raise Fail(
                f"{self.root} has no room for {size // MIB} MiB: {free // MIB} MiB are free,"
                f" {promised // MIB} MiB of them promised to other volumes"
            )


@dataclass(frozen=True, slots=True)
class Image:
    """A file that a volume is filled with."""

    path: Path
    format: str
    bytes: int  # what a guest sees
    mark: list[Any]  # what names this content: path, size, time of its last change

    def write(self, volume: Volume, job: str) -> None:
        """Fill the volume: aside, so that it holds all of it or what it held before."""
        aside = volume.disk.with_name(f"{ASIDE}{DISK}")
        aside.unlink(missing_ok=True)
        try:
            self._expect_room(volume)
            run("qemu-img", "create", "-q", "-f", volume.format, str(aside), str(volume.bytes))
            run(
                *("qemu-img", "convert", "-n", "-f", self.format, "-O", volume.format),
                *(str(self.path), str(aside)),
            )
            aside.chmod(0o600)
            aside.rename(volume.disk)
            write(volume.directory / RECORD, {**volume.record, "image": self.mark, "writer": job})
        finally:
            aside.unlink(missing_ok=True)

    def _expect_room(self, volume: Volume) -> None:
        if self.bytes > volume.bytes:
            raise Fail(
                f"{self.path} has {self.bytes} bytes, and the volume only {volume.bytes}",
                INVALID_DATA,
            )
        measured = ask(
            *("qemu-img", "measure", "--output=json", "-f", self.format, "-O", volume.format),
            str(self.path),
        )
        free = shutil.disk_usage(volume.directory).free
        if measured["required"] > free:
            needed = measured["required"] // MIB
            raise Fail(f"{volume.directory} has {free // MIB} MiB free; {needed} MiB are needed")


def find_image(path: str, roots: Sequence[str]) -> Image:
    """The image at that path. Raises Fail unless it is one, lies under a root, and stands alone.

    An image may name other files that it continues; whoever wrote it could read ours that way.
    """
    place = find_file(path, roots)
    told = ask("qemu-img", "info", "--output=json", str(place))
    if told["format"] not in FORMATS:
        raise Fail(f"{path} is {told['format']}; images are {' or '.join(FORMATS)}", INVALID_DATA)
    own = (told.get("format-specific") or {}).get("data") or {}
    if "backing-filename" in told or "data-file" in own:
        raise Fail(f"{path} refers to other files, which is not allowed", INVALID_DATA)
    status = place.stat()
    mark = [str(place), status.st_size, status.st_mtime_ns]
    return Image(place, str(told["format"]), int(told["virtual-size"]), mark)


def find_file(path: str, roots: Sequence[str]) -> Path:
    """A file under one of the roots, links followed. Raises Fail."""
    place = Path(os.path.realpath(path))
    if not any(place.is_relative_to(os.path.realpath(root)) for root in roots):
        raise Fail(f"{path} is not under {', '.join(roots)}", INVALID_DATA)
    if not place.is_file():
        raise Fail(f"there is no file {path}", INVALID_DATA)
    return place
