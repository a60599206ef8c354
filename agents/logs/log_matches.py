"""Matches: the lines that a pattern finds, by ripgrep or grep.

Never by Python's `re`: a pattern such as `(a+)+$` would keep it busy for hours.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO, Any

from log_files import Unfit

LONGEST = 4096  #: bytes of a line in a reply
MOST_BYTES = 1024 * 1024  #: of all lines in a reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which lines match."""

    pattern: str
    ignore_case: bool
    fixed: bool
    invert: bool

    @property
    def engine(self) -> str:
        """What does the matching."""
        return "rg" if shutil.which("rg") else "grep"

    def command(self) -> list[str]:
        """The argv that copies matching lines from its standard input to its output."""
        flags = ["-i"] * self.ignore_case + ["-F"] * self.fixed + ["-v"] * self.invert
        if self.engine == "rg":
            plain = ["--no-config", "--encoding=none", "--no-filename", "--no-line-number", "-j1"]
            return ["rg", "-a", "--color=never", *plain, *flags, "-e", self.pattern, "-"]
        dialect = [] if self.fixed else ["-E"]
        return ["grep", "-a", "--color=never", *dialect, *flags, "-e", self.pattern, "-"]

    def check(self) -> None:
        """Let a pattern pass that the engine understands. Raises Unfit with its words."""
        tried = subprocess.run(
            self.command(), input=b"", capture_output=True, check=False, env=_environment()
        )
        if tried.returncode > 1:
            raise Unfit(_words(tried.stderr))


@dataclass(slots=True)
class Finds:
    """The last matching lines, within the limits of a reply."""

    limit: int
    count: int = 0
    cut: bool = False  # a line was shortened
    lines: deque[tuple[str, bytes]] = field(default_factory=deque)
    size: int = 0  # bytes of the lines kept

    def add(self, path: str, line: bytes) -> None:
        """Keep a line as `matches` gave it, and forget the oldest ones for it."""
        text = line.rstrip(b"\r\n")
        self.cut = self.cut or not line.endswith(b"\n")
        self.count += 1
        self.size += len(text)
        self.lines.append((path, text))
        while len(self.lines) > self.limit or self.size > MOST_BYTES:
            self.size -= len(self.lines.popleft()[1])

    def reply(self) -> dict[str, Any]:
        """The part of the reply that tells what was found."""
        lines = [{"file": path, "text": readable(line)} for path, line in self.lines]
        left_out = len(lines) < self.count
        return {"count": self.count, "lines": lines, "truncated": self.cut or left_out}


def readable(line: bytes) -> str:
    """The line as text; what is not UTF-8 becomes a mark, and so does NUL: databases refuse it."""
    return line.decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")


def matches(wanted: Wanted, blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The matching lines, with their ends; a line without one is longer than LONGEST.

    Raises Unfit if the engine gives up.
    """
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(
            wanted.command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            env=_environment(),
        ) as engine,
    ):
        assert engine.stdin is not None  # noqa: S101  asked for above
        assert engine.stdout is not None  # noqa: S101
        pump = threading.Thread(target=_pump, args=(blocks, engine.stdin), daemon=True)
        pump.start()
        yield from _lines(engine.stdout)
        pump.join()
        if engine.wait() > 1 or engine.returncode < 0:
            complaints.seek(0)
            raise Unfit(f"{wanted.engine} gave up: {_words(complaints.read(2000))}")


def _pump(blocks: Iterable[bytes], into: IO[bytes]) -> None:
    # a broken pipe says that the engine gave up; why, its exit status tells
    with contextlib.suppress(BrokenPipeError), into:
        for block in blocks:
            into.write(block)


def _lines(output: IO[bytes]) -> Iterator[bytes]:
    while line := output.readline(LONGEST):
        rest = line
        while rest and not rest.endswith(b"\n"):
            rest = output.readline(LONGEST)
        yield line


def _words(complaints: bytes) -> str:
    return complaints.decode(errors="replace").strip()[:1000] or "it said nothing"


def _environment() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C.UTF-8"}
