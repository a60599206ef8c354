"""Logs: what a run writes, from the first byte wanted to the last it will ever write."""

from collections.abc import Callable, Iterator
from http.client import HTTPException
from time import sleep

from fleetjobs.client.fleet import Fleet
from fleetjobs.client.stream import AGAIN_S
from fleetjobs.errors import ServerAway

QUIET_S = 45.0  #: the server ends a stream that is silent for longer, to be resumed
PIECE = 64 * 1024  #: bytes read at a time, at most


def follow_log(
    fleet: Fleet,
    job: str,
    node: str,
    stream: str,
    *,
    tail: int | None = None,
    pause: Callable[[float], None] = sleep,
) -> Iterator[bytes]:
    """The bytes of `stdout` or `stderr` as they are written, until the run is over.

    From the first on, or from the last `tail` of those there are. A connection that breaks is
    made again where it broke; after some time without a server raises ServerAway.
    """
    query: list[tuple[str, str | int | None]] = [("follow", 1)]
    place = ("jobs", job, "runs", node, "logs", stream)
    offset: int | None = None
    tries = 0
    while True:
        start = ("tail", tail) if offset is None and tail is not None else ("offset", offset or 0)
        try:
            response, sock = fleet.transport.stream(
                *place, query=[*query, start], headers={"Accept": "application/octet-stream"}
            )
            sock.settimeout(QUIET_S)
            with sock, response:
                if offset is None:
                    offset = int(response.headers.get("X-Log-Offset") or 0)
                while piece := response.read1(PIECE):
                    tries = 0
                    offset += len(piece)
                    yield piece
                return
        except (ServerAway, OSError, HTTPException) as error:
            if tries >= len(AGAIN_S):
                raise ServerAway(f"the log cannot be followed: {error}") from None
            pause(AGAIN_S[tries])
            tries += 1
