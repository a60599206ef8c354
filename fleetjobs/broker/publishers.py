"""Publishers: make parcels durable at the broker, many in flight at once.

Waiting for each confirmation costs a round trip and, on RabbitMQ, an fsync a message; both
publishers send a batch first and then wait once.
"""

import logging
import time
from collections.abc import Sequence
from typing import Any, cast

from amqp.exceptions import ChannelError
from kombu import Connection, Producer, Queue

from fleetjobs.broker.connections import (
    connect,
    durable_queue,
    failures_as_away,
    is_amqp,
    loose_queue,
    loose_queue_name,
)
from fleetjobs.broker.parcels import Parcel, Publisher, Unconfirmed

logger = logging.getLogger(__name__)

CONFIRM_WITHIN_S = 10.0  #: how long a broker may be silent before what it owes counts as lost
#: A consumer is told that its queue was deleted, and begins anew. Declared again at once, RabbitMQ
#: takes the new queue for the old one: it tells nobody, and hands messages out that never arrive.
VANISHED_PAUSE_S = 1.0
IN_FLIGHT = 500  #: parcels sent before the confirmations are read


def open_publisher(url: str) -> Publisher:
    """A publisher for the broker at the URL; it connects at its first use and again when needed."""
    return AmqpPublisher(url) if is_amqp(url) else RedisPublisher(url)


class AmqpPublisher:
    """Pipelined publisher confirms on one channel."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: Connection | None = None
        self._channel: Any = None
        self._declaring: Any = None  # another channel
        self._declared: set[str] = set()
        self._sent = 0  # delivery tags count from 1 on a confirming channel
        self._unconfirmed: dict[int, Parcel] = {}  # by delivery tag
        self._refused: list[Parcel] = []
        self._returned: set[str] = set()  # queues that do not exist

    def publish(self, parcels: Sequence[Parcel]) -> None:
        """Send all, then wait for all confirmations. Raises BrokerAway, or Unconfirmed."""
        failed: list[Parcel] = []
        with failures_as_away(self._url, closing=self.close):
            for start in range(0, len(parcels), IN_FLIGHT):
                failed += self._publish_some(parcels[start : start + IN_FLIGHT])
        if failed:
            self.close()
            queues = sorted({parcel.queue for parcel in failed})
            raise Unconfirmed(f"not confirmed by the broker: {queues[:5]}", failed)

    def close(self) -> None:
        """Let the connection go."""
        connection, self._connection = self._connection, None
        self._channel = self._declaring = None
        if connection is not None:
            connection.collect(socket_timeout=1)

    def _publish_some(self, parcels: Sequence[Parcel]) -> list[Parcel]:
        failed = self._send(parcels)
        if missing := set(self._returned):  # say after the broker lost its disk: declare them anew
            time.sleep(VANISHED_PAUSE_S)
            self._declared -= missing
            failed += self._send([parcel for parcel in parcels if _place(parcel) in missing])
            failed += [parcel for parcel in parcels if _place(parcel) in self._returned]
        return failed

    def _send(self, parcels: Sequence[Parcel]) -> list[Parcel]:
        """Send, and wait for the confirmations; those that the broker did not give in time."""
        channel = self._open()
        self._returned.clear()
        self._refused.clear()
        barred: list[Parcel] = []
        for parcel in parcels:
            place = _place(parcel)
            if place not in self._declared and not self._declare(parcel):
                barred.append(parcel)
                continue
            message = channel.prepare_message(
                parcel.body,
                content_type=parcel.content_type,
                content_encoding="utf-8",
                headers=parcel.headers,
                properties={"delivery_mode": 1 if parcel.loose else 2, **parcel.properties},
            )
            channel.basic_publish(message, exchange="", routing_key=place, mandatory=True)
            self._sent += 1
            self._unconfirmed[self._sent] = parcel
        self._await_confirmations()
        failed = [*self._unconfirmed.values(), *self._refused, *barred]
        self._unconfirmed.clear()
        return failed

    def _declare(self, parcel: Parcel) -> bool:
        """Have its queue; False if the broker refuses, say for one that is there and is another.

        On a channel of its own, which ends with a refusal: nothing else may wait for that queue.
        """
        if self._declaring is None:
            self._declaring = cast(Connection, self._connection).channel()
        try:
            _queue(parcel, self._url).bind(self._declaring).declare()
        except ChannelError as refusal:
            logger.error("queue %s cannot be had: %s", _place(parcel), refusal)
            self._declaring = None
            return False
        self._declared.add(_place(parcel))
        return True

    def _await_confirmations(self) -> None:
        """Until all are there, or none came for a while: one sick queue must not hold the rest."""
        connection = self._connection
        while connection is not None and self._unconfirmed:
            try:
                connection.drain_events(timeout=CONFIRM_WITHIN_S)
            except TimeoutError:
                return

    def _open(self) -> Any:
        if self._channel is None:
            self._connection = connect(self._url)
            channel: Any = self._connection.channel()
            channel.confirm_select()
            channel.events["basic_ack"].add(self._on_ack)
            channel.events["basic_nack"].add(self._on_nack)
            channel.events["basic_return"].add(self._on_return)
            self._sent = 0
            self._unconfirmed.clear()
            self._declared.clear()
            self._channel = channel
        return self._channel

    def _on_ack(self, tag: int, multiple: bool) -> None:  # noqa: FBT001  amqp's signature
        self._settle(tag, multiple=multiple)

    def _on_nack(self, tag: int, multiple: bool) -> None:  # noqa: FBT001  amqp's signature
        self._refused += self._settle(tag, multiple=multiple)

    def _settle(self, tag: int, *, multiple: bool) -> list[Parcel]:
        tags = [sent for sent in self._unconfirmed if sent <= tag] if multiple else [tag]
        return [parcel for sent in tags if (parcel := self._unconfirmed.pop(sent, None))]

    def _on_return(self, _error: Any, _exchange: str, routing_key: str, _message: Any) -> None:
        self._returned.add(routing_key)


def _place(parcel: Parcel) -> str:
    """The name of the queue that the parcel goes to at the broker."""
    return loose_queue_name(parcel.queue) if parcel.loose else parcel.queue


def _queue(parcel: Parcel, url: str) -> Queue:
    return loose_queue(parcel.queue) if parcel.loose else durable_queue(parcel.queue, url)


class RedisPublisher:
    """One pipeline per batch; Redis answers once it has written its append-only file."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: Connection | None = None
        self._producer: Any = None  # kombu's types do not know its batches yet

    def publish(self, parcels: Sequence[Parcel]) -> None:
        """Push all in pipelines. Raises BrokerAway."""
        with failures_as_away(self._url, closing=self.close):
            producer = self._open()
            with producer.batch(max_size=IN_FLIGHT):
                for parcel in parcels:
                    producer.publish(
                        parcel.body,
                        routing_key=parcel.queue,
                        content_type=parcel.content_type,
                        content_encoding="utf-8",
                        headers=parcel.headers,
                        delivery_mode=2,
                        **parcel.properties,
                    )

    def close(self) -> None:
        """Let the connection go."""
        connection, self._connection, self._producer = self._connection, None, None
        if connection is not None:
            connection.collect(socket_timeout=1)

    def _open(self) -> Any:
        if self._producer is None:
            self._connection = connect(self._url)
            self._producer = Producer(self._connection.channel(), auto_declare=False)
        return self._producer
