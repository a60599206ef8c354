"""Logs of a job: the bytes its programs wrote, fetched piece by piece."""

import sys
from collections.abc import Iterator, Sequence

from fleetjobs.cli.screen import Screen, clean, line, stderr, stdout
from fleetjobs.client.fleet import Fleet
from fleetjobs.client.replies import Document

PIECE = 256 * 1024  #: bytes asked for at a time


def show_logs(
    asked: Fleet,
    runs: Sequence[Document],
    streams: Sequence[str],
    *,
    tail: int | None,
    raw: bool,
) -> None:
    """Write the streams of the runs; of several runs under a heading each."""
    several = len(runs) > 1
    wrote = False
    for run in runs:
        for stream in streams:
            if not run["logs"][stream]["size"]:
                continue
            wrote = True
            screen = stdout() if several or stream == "stdout" or len(streams) == 1 else stderr()
            if several:
                screen.write(screen.paint(f"==> {line(run['node'])} {stream} <==", "bold"))
            _write(screen, _pieces(asked, run, stream, tail), raw=raw)
            if several:
                screen.write()
    if not wrote:
        stderr().write("Nothing was written.")


def _pieces(asked: Fleet, run: Document, stream: str, tail: int | None) -> Iterator[bytes]:
    place = (run["job"], run["node"], stream)
    if tail is not None:
        yield asked.log(*place, [("tail", tail)])[0]
        return
    offset = 0
    while True:
        content, headers = asked.log(*place, [("offset", offset), ("limit", PIECE)])
        if not content:
            return
        yield content
        offset = int(headers.get("x-next-offset", offset + len(content)))
        if offset >= int(headers.get("x-log-size", 0)):
            return


def _write(screen: Screen, pieces: Iterator[bytes], *, raw: bool) -> None:
    """As it was written into a file or pipe; cleaned for a terminal, unless that is not wanted."""
    if raw or not screen.is_terminal:
        screen.flush()
        buffer = (sys.stdout if screen.file is sys.stdout else sys.stderr).buffer
        for piece in pieces:
            buffer.write(piece)
        buffer.flush()
        return
    text = clean(b"".join(pieces).decode("utf-8", "replace"))
    screen.write(text.removesuffix("\n"))
