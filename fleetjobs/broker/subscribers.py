"""Subscribers: take messages out of a queue in batches, acknowledge them when they are safe."""

import json
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic, sleep, time
from typing import Any
from uuid import uuid4

from kombu import Connection, Consumer

from fleetjobs.broker.connections import (
    FAILURES,
    connect,
    failures_as_away,
    is_amqp,
    queues_of,
)
from fleetjobs.broker.parcels import Arrival, Subscriber

PREFETCH = 1000  #: messages the broker may hand over before the first is acknowledged
HEARTBEAT_S = 30  #: a peer silent for two or three times as long is gone
_QUIET_S = 0.003  # a batch closes when nothing more has come for this long
_LINGER_S = 0.01  # or when it has been open for this long
_RESTORE_S = 10.0  # how often we look for what others took and never acknowledged
_RESTORE_MOST = 1000  # messages given back at a time


def open_subscriber(url: str, queue: str) -> Subscriber:
    """A subscriber to that queue; it connects at its first use and again when needed."""
    return AmqpSubscriber(url, queue) if is_amqp(url) else RedisSubscriber(url, queue)


class AmqpSubscriber:
    """A consumer: the broker pushes what comes."""

    def __init__(self, url: str, queue: str) -> None:
        self._url = url
        self._queue = queue
        self._connection: Connection | None = None
        self._consumer: Consumer | None = None
        self._arrived: deque[Any] = deque()
        self._taken: set[int] = set()  # delivery tags that are not acknowledged

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
        """Tell the broker to forget them: in one word, if they are the oldest that it waits for."""
        mine = {arrival.token.delivery_tag for arrival in arrivals}
        if not mine:
            return
        others = self._taken - mine
        with failures_as_away(self._url, closing=self.close):
            if min(others, default=max(mine) + 1) > max(mine):
                arrivals[-1].token.channel.basic_ack(max(mine), multiple=True)
            else:
                for arrival in arrivals:
                    arrival.token.ack()
            self._taken = others

    def close(self) -> None:
        """Let the connection go; what is not acknowledged goes back into the queue."""
        connection, self._connection, self._consumer = self._connection, None, None
        self._arrived.clear()
        self._taken.clear()
        if connection is not None:
            connection.collect(socket_timeout=1)

    def _next(self) -> Arrival:
        message = self._arrived.popleft()
        self._taken.add(message.delivery_tag)
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
            # on_message leaves the body as it came: rubbish is ours to judge, not the decoder's
            consumer = Consumer(
                self._connection.channel(),
                queues_of(self._queue, self._url),
                on_message=self._arrived.append,
                auto_declare=True,
                prefetch_count=PREFETCH,
            )
            consumer.consume()
            self._consumer = consumer


class RedisSubscriber:
    """Batches out of a list; each is taken, and noted as taken, in one step of the broker.

    What is noted is kombu's to read: whoever consumes by kombu gives it back to its queue when it
    was not acknowledged in time. Kombu itself takes one message at a time, in three exchanges, and
    loses what it took if it is killed before it has noted it.
    """

    def __init__(self, url: str, queue: str) -> None:
        self._url = url
        self._queue = queue
        self._connection: Connection | None = None
        self._channel: Any = None
        self._taking: Any = None  # a script at the broker
        self._prefix = ""  # of our tags, which are numbers
        self._tags: list[str] = []  # taken and not acknowledged, oldest first
        self._count = 0
        self._restored_at = 0.0

    def take(self, *, limit: int, within: float, enough: Callable[[], int] = int) -> list[Arrival]:
        """Up to `limit` messages; waits at most `within` seconds for the first."""
        with failures_as_away(self._url, closing=self.close):
            self._open()
            self._restore()
            found = self._pop(limit)
            if not found and self._wait(within):
                found = self._pop(limit)
            until = monotonic() + _LINGER_S
            while found and len(found) < min(limit, enough()) and monotonic() < until:
                sleep(_QUIET_S)
                more = self._pop(limit - len(found))
                if not more:
                    break
                found += more
        return found

    def acknowledge(self, arrivals: Sequence[Arrival]) -> None:
        """Tell the broker to forget them."""
        tags = [arrival.token for arrival in arrivals]
        if not tags:
            return
        with failures_as_away(self._url, closing=self.close):
            self._open()
            with self._channel.client.pipeline() as pipeline:
                pipeline.zrem(self._channel.unacked_index_key, *tags)
                pipeline.hdel(self._channel.unacked_key, *tags)
                pipeline.execute()
        gone = set(tags)
        self._tags = [tag for tag in self._tags if tag not in gone]

    def close(self) -> None:
        """Let the connection go; what is not acknowledged goes back into the queue."""
        connection, channel = self._connection, self._channel
        self._connection = self._channel = None
        tags, self._tags = self._tags, []
        if connection is None:
            return
        with suppress(*FAILURES):  # else it goes back after a while
            for tag in reversed(tags):
                channel.qos.restore_by_tag(tag)
        connection.collect(socket_timeout=1)

    def _pop(self, limit: int) -> list[Arrival]:
        first = self._count
        self._count += limit
        keys = [self._queue, self._channel.unacked_key, self._channel.unacked_index_key]
        end = f',"",{json.dumps(self._queue)}]'
        taken = self._taking(keys=keys, args=[limit, time(), self._prefix, first, end])
        tags = [f"{self._prefix}{first + place}" for place in range(len(taken))]
        self._tags += tags
        return [self._arrival(raw, tag) for raw, tag in zip(taken, tags, strict=True)]

    def _wait(self, within: float) -> bool:
        """Until the queue holds something: to move its end to its end changes nothing."""
        if within <= 0:
            return False
        moved = self._channel.client.blmove(self._queue, self._queue, within, "RIGHT", "RIGHT")
        return moved is not None

    def _arrival(self, raw: bytes, tag: str) -> Arrival:
        try:
            message = json.loads(raw)
            encoding = message["properties"].get("body_encoding")
            body = self._channel.decode_body(message["body"], encoding)
            kind = str(message.get("content-type"))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            body, kind = raw, "application/octet-stream"  # rubbish is ours to judge
        if isinstance(body, str):
            body = body.encode("utf-8", "surrogateescape")
        return Arrival(body=body, content_type=kind, token=tag)

    def _restore(self) -> None:
        """Give back, now and then, what others took and never acknowledged."""
        if monotonic() - self._restored_at > _RESTORE_S:
            self._restored_at = monotonic()
            self._channel.qos.restore_visible(num=_RESTORE_MOST, interval=1)

    def _open(self) -> None:
        if self._channel is None:
            self._connection = connect(self._url)
            self._channel = self._connection.channel()
            self._taking = self._channel.client.register_script(_TAKE)
            self._prefix = f"{uuid4()}."
            self._count = 0


_TAKE = """
local taken = redis.call('RPOP', KEYS[1], ARGV[1]) or {}
for place, message in ipairs(taken) do
  local tag = ARGV[3] .. string.format('%.0f', ARGV[4] + place - 1)
  if pcall(cjson.decode, message) then -- what is no message could not be given back either
    redis.call('HSET', KEYS[2], tag, '[' .. message .. ARGV[5])
    redis.call('ZADD', KEYS[3], ARGV[2], tag)
  end
end
return taken
"""
