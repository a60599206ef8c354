"""Logs of a job: the bytes its programs wrote, fetched piece by piece."""

import codecs
import sys
from collections.abc import Iterator, Sequence
from threading import Lock, Thread

from fleetjobs.cli.documents import is_plan
from fleetjobs.cli.screen import Screen, clean, line, stderr, stdout
from fleetjobs.client.fleet import Fleet
from fleetjobs.client.replies import Document
from fleetjobs.errors import Fault, NotFound

PIECE = 256 * 1024  #: bytes asked for at a time


def find_runs(asked: Fleet, job: Document, node: str | None) -> Sequence[Document]:
    """The runs of a job, of a plan those of its legs; all, or those on that node.

    Of a leg's run, `leg` is its key. Raises NotFound if there is none on that node.
    """
    if not is_plan(job):
        return [asked.run(job["id"], node)] if node else list(asked.runs(job["id"]))
    found = [
        {**run, "leg": leg["key"]}
        for leg in asked.legs(job["id"])
        if leg.get("started_at") and not is_plan(leg)
        for run in asked.runs(leg["id"])
        if node in {None, run["node"]}
    ]
    if node and not found:
        raise NotFound(f"no leg of {job['id']} has begun on {node}")
    return found


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
                leg = f"{line(run['leg'])} " if "leg" in run else ""
                screen.write(screen.paint(f"==> {leg}{line(run['node'])} {stream} <==", "bold"))
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


def follow_logs(
    asked: Fleet, run: Document, streams: Sequence[str], *, tail: int | None, raw: bool
) -> None:
    """Write the streams of one run as they grow, until it is over. Raises Fault."""
    from fleetjobs.client.logs import follow_log

    lock = Lock()
    faults: list[Fault] = []

    def show(stream: str) -> None:
        screen = stderr() if stream == "stderr" and len(streams) > 1 else stdout()
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        try:
            for piece in follow_log(asked, run["job"], run["node"], stream, tail=tail):
                with lock:
                    if raw or not screen.is_terminal:
                        buffer = (sys.stdout if screen.file is sys.stdout else sys.stderr).buffer
                        buffer.write(piece)
                        buffer.flush()
                    else:
                        screen.file.write(clean(decoder.decode(piece)))
                        screen.flush()
        except Fault as fault:
            faults.append(fault)

    threads = [Thread(target=show, args=(stream,), daemon=True) for stream in streams]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(0.2)  # a join without an end would not hear ctrl-C
    if faults:
        raise faults[0]
