"""logs: search the log files of a node, streaming, in bounded memory."""

import resource
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from log_files import Content, Found, Unfit, find_files, open_file, read_roots
from log_matches import Finds, Wanted, matches
from log_times import Window, read_moment

from fleetjobs.agent import INVALID_DATA, Agent, action, main

MOST_LINES = 10_000  #: in a reply
MOST_SKIPPED = 100  #: files named in a reply
MEMORY = 1024 * 1024 * 1024  #: bytes that we, and each engine, may address


@dataclass(slots=True)
class Search:
    """A pass over files, and what it has found."""

    wanted: Wanted
    window: Window | None
    roots: Sequence[str]
    finds: Finds
    files: int = 0
    bytes: int = 0  # unpacked
    skipped: list[dict[str, str]] = field(default_factory=list)

    def read(self, found: Found) -> None:
        """Search one file; whatever is wrong with it is noted, and stops no other."""
        if self.window and found.changed < self.window.since:
            return
        try:
            file = open_file(found, self.roots)
        except (OSError, Unfit) as error:  # gone since we looked, or not for us to read
            self._skip(found, error)
            return
        with file:
            content = Content(file, found, self.window)
            try:
                for line in matches(self.wanted, content.blocks()):
                    self.finds.add(found.path, line)
            except Unfit as unfit:
                self._skip(found, unfit)
        self.files += 1
        self.bytes += content.bytes
        if content.why:
            self._skip(found, content.why)

    def reply(self) -> dict[str, Any]:
        """The data of the reply."""
        return {
            **self.finds.reply(),
            "files": self.files,
            "bytes": self.bytes,
            "skipped": self.skipped[:MOST_SKIPPED],
            "engine": self.wanted.engine,
        }

    def _skip(self, found: Found, why: "Exception | str") -> None:
        text = (isinstance(why, OSError) and why.strerror) or str(why) or type(why).__name__
        self.skipped.append({"file": found.path, "why": text})


class Logs(Agent):
    """Actions on log files."""

    @action
    def search(
        self,
        *,
        files: Sequence[Any],
        pattern: str = "",
        ignore_case: bool = False,
        fixed: bool = False,
        invert: bool = False,
        since: str | None = None,
        until: str | None = None,
        limit: int = 100,
    ) -> None:
        """Reply with the last lines that match."""
        _bound_memory()
        wanted = Wanted(pattern=pattern, ignore_case=ignore_case, fixed=fixed, invert=invert)
        try:
            search = Search(wanted, read_window(since, until), read_roots(), Finds(_limit(limit)))
            wanted.check()
            found = find_files(_paths(files), search.roots)
        except Unfit as unfit:
            self.fail(str(unfit), INVALID_DATA)
        for number, file in enumerate(found):
            if number % max(len(found) // 100, 1) == 0:
                self.progress(100 * number // len(found), file.path)
            search.read(file)
        self.reply.update(search.reply())


def read_window(since: str | None, until: str | None) -> Window | None:
    """The time range, None for all times. Raises Unfit."""
    if since is None and until is None:
        return None
    now = datetime.now(UTC)
    try:
        return Window(
            read_moment(since, now) if since else float("-inf"),
            read_moment(until, now) if until else float("inf"),
        )
    except (ValueError, OverflowError) as error:
        raise Unfit(f"not a time: {error}") from None


def _limit(limit: int) -> int:
    if not 1 <= limit <= MOST_LINES:
        raise Unfit(f"limit is {limit}; 1 to {MOST_LINES} are possible")
    return limit


def _paths(files: Sequence[Any]) -> list[str]:
    paths = [path for path in files if isinstance(path, str) and path.startswith("/")]
    if not paths or len(paths) < len(files):
        raise Unfit("files is to be a list of absolute paths or globs")
    return paths


def _bound_memory() -> None:
    """Let a hostile file or pattern fail rather than push the node into swapping."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    soft = MEMORY if hard == resource.RLIM_INFINITY else min(MEMORY, hard)
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


if __name__ == "__main__":
    main()
