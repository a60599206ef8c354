"""Following: the replies of a job as they come."""

from collections.abc import Callable, Iterator
from time import monotonic
from typing import Protocol

from fleetjobs.client.asking import ENDS
from fleetjobs.client.fleet import Fleet
from fleetjobs.client.replies import Document, Reply, read_reply
from fleetjobs.client.stream import Stream
from fleetjobs.errors import ServerAway
from fleetjobs.names import JobId
from fleetjobs.states import LIVE

TICK_S = 1.0  #: how often an idle wait looks whether it should go on
QUIET_S = 3.0  #: after that long without a reply, we ask whether there is anybody to wait for
FEW = 100  #: of more nodes than that we do not ask


class Followed(Protocol):
    """A handle on a job, as far as it matters here."""

    document: Document

    @property
    def id(self) -> JobId:
        """Its global name."""

    @property
    def nodes(self) -> int:
        """On how many nodes it is."""


class Replies(Iterator[Reply]):
    """Replies of a job as they come. Afterwards `silent` names the nodes that sent none."""

    def __init__(
        self,
        fleet: Fleet,
        job: Followed,
        timeout_s: float | None,
        *,
        skip_silent: bool = False,
        ticks: Callable[[], float] = monotonic,
        stream: Stream | None = None,
    ) -> None:
        """Follow the job, on a stream of its own unless one is given; time runs from now.

        None: until it has ended.
        """
        self._stream = stream
        self.job = job
        self.silent: list[str] = []
        self.percent: float | None = None  #: of the job that is done, as last heard
        self._fleet = fleet
        self._ticks = ticks
        self._end = None if timeout_s is None else ticks() + timeout_s
        self._look_at = ticks() + QUIET_S if skip_silent else None
        self._seen: set[str] = set()
        self._is_over = False

    def __del__(self) -> None:
        """Replies that nobody reads any more are not followed any more."""
        self.close()

    def __next__(self) -> Reply:
        """The next reply; waits for it. Raises ServerAway if the server is away at the deadline."""
        while not self._is_over:
            reply = self.next(TICK_S)
            if reply is not None:
                return reply
        raise StopIteration

    def next(self, within: float) -> Reply | None:
        """The next reply, or None if none came within so many seconds; see `is_over`."""
        if self._is_over:
            return None
        until = self._ticks() + within
        moments = [moment for moment in (until, self._end, self._look_at) if moment is not None]
        while True:
            reply = self._step(max(min(moments) - self._ticks(), 0.0))
            if reply is not None or self._is_over:
                return reply
            now = self._ticks()
            if self._end is not None and now >= self._end:
                self._give_up()
                return None
            if self._look_at is not None and now >= self._look_at:
                self._look_at = now + QUIET_S
                self._skip_silent()
            if now >= min(moments):
                return None

    @property
    def is_over(self) -> bool:
        """Whether no more will come: all replied, or the time is over."""
        return self._is_over

    @property
    def away(self) -> ServerAway | None:
        """Why nothing comes at the moment, if the connection is broken."""
        return self._stream.away if self._stream is not None else None

    def close(self) -> None:
        """Stop listening; the job goes on."""
        self._is_over = True
        if self._stream is not None:
            self._stream.close()

    def _step(self, within: float) -> Reply | None:
        if self._stream is None:
            path = ("jobs", self.job.id, "events")
            self._stream = Stream(self._fleet.transport, *path, query=ENDS)
        event = self._stream.next(within)
        if event is None:
            return None
        if event.kind == "end":
            self.close()
            if isinstance(event.data, dict) and "state" in event.data:
                self.job.document = event.data
            return None
        if event.kind == "progress" and isinstance(event.data, dict):
            self.percent = event.data.get("percent_complete")
            return None
        run = event.data.get("run") if isinstance(event.data, dict) else None
        if run is None or run["node"] in self._seen:
            return None
        self._seen.add(run["node"])
        if self._look_at is not None:
            self._look_at = self._ticks() + QUIET_S
        return read_reply(run)

    def _skip_silent(self) -> None:
        """Give up if all nodes that we still wait for are known to be away."""
        if self.away is not None or self.job.nodes - len(self._seen) > FEW:
            return
        left = self._unended()
        found = self._fleet.nodes([("identity", name) for name in left]) if left else []
        if left and not any(node["alive"] for node in found) and len(found) == len(left):
            self.close()
            self.silent = left

    def _give_up(self) -> None:
        """The time is over: note who has not replied. Raises ServerAway if nobody can say."""
        away = self.away
        self.close()
        if away is not None:
            raise away
        self.silent = self._unended()

    def _unended(self) -> list[str]:
        live = [("state", state.value) for state in sorted(LIVE)]
        return [run["node"] for run in self._fleet.runs(self.job.id, query=live)]
