"""Subscribers: take messages out of a queue in batches, acknowledge them when they are safe."""

from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

from kombu import Connection, Consumer

from fleetjobs.broker.connections import connect, durable_queue, failures_as_away
from fleetjobs.broker.parcels import Arrival

PREFETCH = 1000  #: messages the broker may hand over before the first is acknowledged
HEARTBEAT_S = 30  #: a peer silent for longer is gone
_QUIET_S = 0.003  # a batch closes when nothing more has come for this long
_LINGER_S = 0.01  # or when it has been open for this long


class QueueSubscriber:
    """A consumer of one durable queue; connects at its first use and again when needed."""

    def __init__(self, url: str, queue: str) -> None:
        self._url = url
        self._queue = queue
        self._connection: Connection | None = None
        self._consumer: Consumer | None = None
        self._arrived: deque[Any] = deque()

    def take(self, *, limit: int, within: float, enough: Callable[[], int] = int) -> list[Arrival]:
        """Up to `limit` messages; waits at most `within` seconds for the first."""
        with failures_as_away(self._url, closing=self.close):
            self._open()
            if not self._arrived:
                self._drain(within)
            until = monotonic() + _LINGER_S
            while self._arrived and len(self._arrived) < limit:
                waits = len(self._arrived) < enough() and monotonic() < until
                if not self._drain(_QUIET_S if waits else 0.0):
                    break
        return [self._next() for _ in range(min(limit, len(self._arrived)))]

    def acknowledge(self, arrivals: Sequence[Arrival]) -> None:
        """Tell the broker to forget them."""
        with failures_as_away(self._url, closing=self.close):
            for arrival in arrivals:
                arrival.token.ack()

    def close(self) -> None:
        """Let the connection go; what is not acknowledged goes back into the queue."""
        connection, self._connection, self._consumer = self._connection, None, None
        self._arrived.clear()
        if connection is not None:
            connection.collect(socket_timeout=1)

    def _next(self) -> Arrival:
        message = self._arrived.popleft()
        body = message.body
        raw = body if isinstance(body, bytes) else bytes(body, "utf-8", "surrogateescape")
        return Arrival(body=raw, content_type=str(message.content_type), token=message)

    def _drain(self, within: float) -> bool:
        """Read from the broker; False if nothing came in time."""
        assert self._connection is not None  # noqa: S101  opened by take
        try:
            self._connection.drain_events(timeout=within)
        except TimeoutError:
            if self._connection.supports_heartbeats:
                self._connection.heartbeat_check()
            return False
        return True

    def _open(self) -> None:
        if self._consumer is None:
            self._connection = connect(self._url, heartbeat_s=HEARTBEAT_S)
            queue = durable_queue(self._queue, self._url)
            # on_message leaves the body as it came: rubbish is ours to judge, not the decoder's
            consumer = Consumer(
                self._connection.channel(),
                [queue],
                on_message=self._arrived.append,
                auto_declare=True,
                prefetch_count=PREFETCH,
            )
            consumer.consume()
            self._consumer = consumer
