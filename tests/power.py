"""Power: what a disk has after a cut, if it kept nothing that it was not told to keep.

The strictest reading of POSIX: a file's content is there as of its last fsync, a directory's names
as of its own. Only a rename is more than that: it is done in both directories, or in neither.
"""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class Disk:
    """Everything below a directory, and what of it is durable; give `fsync` to os."""

    root: Path
    names: dict[int, dict[str, int]] = field(default_factory=dict)  # directory -> name -> inode
    contents: dict[int, bytes] = field(default_factory=dict)

    def fsync(self, descriptor: int) -> None:
        """As os.fsync: what the descriptor leads to survives, as it is now."""
        status = os.fstat(descriptor)
        if not stat.S_ISDIR(status.st_mode):
            self.contents[status.st_ino] = Path(f"/proc/self/fd/{descriptor}").read_bytes()
            return
        before = self.names.get(status.st_ino, {})
        now = _names(descriptor)
        self.names[status.st_ino] = now
        for inode in set(before.values()) - set(now.values()):
            self._follow(inode)

    def _follow(self, inode: int) -> None:
        """What has left a directory is where it was moved to, if it is anywhere."""
        for place, _, _ in os.walk(self.root):
            for name, found in _names(place).items():
                if found == inode:
                    self.names.setdefault(os.stat(place).st_ino, {})[name] = inode  # noqa: PTH116

    def cut(self, place: Path) -> Path:
        """Write down, in an empty directory, what is left."""
        self._restore(self.root.stat().st_ino, place)
        return place

    def _restore(self, directory: int, place: Path) -> None:
        place.mkdir(parents=True)
        for name, inode in self.names.get(directory, {}).items():
            if inode in self.names or self._is_directory(inode):
                self._restore(inode, place / name)
            else:
                (place / name).write_bytes(self.contents.get(inode, b""))

    def _is_directory(self, inode: int) -> bool:
        return any(os.stat(place).st_ino == inode for place, _, _ in os.walk(self.root))  # noqa: PTH116


def _names(place: str | int) -> dict[str, int]:
    with os.scandir(place) as entries:
        return {entry.name: entry.inode() for entry in entries}


Cut = Callable[[], Path]
