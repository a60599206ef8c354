"""Logs: what a run writes, from the first byte wanted to the last it will ever write."""

from base64 import b64decode
from collections.abc import Iterator

from fleetjobs.client.fleet import Fleet
from fleetjobs.client.stream import Stream
from fleetjobs.errors import ServerAway


def follow_log(
    fleet: Fleet,
    job: str,
    node: str,
    stream: str,
    *,
    tail: int | None = None,
) -> Iterator[bytes]:
    """The bytes of `stdout` or `stderr` as they are written, until the run is over.

    From the first on, or from the last `tail` of those there are. A connection that breaks is
    made again where it broke. Raises Problem; ServerAway at the end if the rest of the log is on
    a node that is away.
    """
    query = [("follow", "true"), ("tail", tail)]
    events = Stream(fleet.transport, "jobs", job, "runs", node, "logs", stream, query=query)
    try:
        while True:
            event = events.next(None)
            if event is None:
                continue
            if event.kind == "end":
                if not event.data.get("complete", True):
                    raise ServerAway(f"{node} is away, and has the rest of what was written")
                return
            yield b64decode(event.data["content"])
    finally:
        events.close()
