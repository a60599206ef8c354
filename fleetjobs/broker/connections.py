"""Connections: what a broker URL may be, the queues behind it, and how to reach it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from urllib.parse import urlsplit

import redis.utils
from amqp.exceptions import AMQPError
from kombu import Connection, Exchange, Queue
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from fleetjobs.errors import BrokerAway, InvalidSetting

REPLIES = "fleetjobs.replies"  #: where nodes put replies, refusals and beats
SCHEMES = {"amqp", "amqps", "redis", "rediss", "redis+socket"}

#: Every taker acknowledges as soon as it has made a message durable, so what stays unacknowledged
#: belongs to a dead taker. Redis (through kombu) gives it to another one after this time.
VISIBILITY_S = 60

#: RabbitMQ 4 drops a message of a quorum queue after 20 deliveries unless told otherwise.
DELIVERY_LIMIT = 1_000_000

#: redis-py asks it for each connection, and would read its whole description each time
redis.utils.get_lib_version = cache(redis.utils.get_lib_version)

#: what the client libraries raise about a broker
FAILURES = (AMQPError, KombuError, RedisError, OSError, EOFError)


def is_amqp(url: str) -> bool:
    """Whether the broker speaks AMQP; else it is Redis. Raises InvalidSetting for any other."""
    scheme = urlsplit(url).scheme
    if scheme not in SCHEMES:
        raise InvalidSetting(
            f"{scheme!r} is no broker we know; expected {', '.join(sorted(SCHEMES))}"
        )
    return scheme.startswith("amqp")


def transport_options(url: str) -> dict[str, object]:
    """What kombu needs to know beside the URL."""
    if is_amqp(url):
        return {}
    return {
        "visibility_timeout": VISIBILITY_S,
        "unacked_restore_limit": 1000,
        "socket_keepalive": True,
        "health_check_interval": 25,
        "fanout_prefix": True,
        "fanout_patterns": True,
    }


def connect(url: str, *, heartbeat_s: int = 0) -> Connection:
    """A connection that is open. Raises BrokerAway.

    Without a heartbeat a peer that vanished shows at the next use, which has its own time limit.
    """
    connection = Connection(
        url,
        heartbeat=heartbeat_s,
        connect_timeout=5,
        transport_options=transport_options(url),
    )
    with failures_as_away(url):
        connection.connect()
    return connection


def node_queue_name(node: str) -> str:
    """The queue of one node."""
    return f"node.{node}"


def durable_queue(name: str, url: str) -> Queue:
    """The declaration of a queue that survives the broker's restart.

    On RabbitMQ a quorum queue: publishing to a thousand classic queues costs an fsync each,
    quorum queues share theirs.
    """
    arguments = (
        {"x-queue-type": "quorum", "x-delivery-limit": DELIVERY_LIMIT} if is_amqp(url) else None
    )
    exchange = Exchange("", type="direct")
    return Queue(name, exchange, routing_key=name, durable=True, queue_arguments=arguments)


def loose_queue_name(name: str) -> str:
    """What stands on RabbitMQ beside the queue of that name, for parcels that are loose."""
    return f"loose.{name}"


def loose_queue(name: str) -> Queue:
    """The declaration of that: a classic queue, which keeps in memory what need not be written.

    A quorum queue writes down whatever it is given, and waits for the disk.
    """
    place, exchange = loose_queue_name(name), Exchange("", type="direct")
    arguments = {"x-queue-type": "classic"}  # whatever the broker's default is
    return Queue(place, exchange, routing_key=place, durable=True, queue_arguments=arguments)


def queues_of(name: str, url: str) -> list[Queue]:
    """All that must be consumed to hear what is sent to the queue of that name."""
    durable = durable_queue(name, url)
    return [durable, loose_queue(name)] if is_amqp(url) else [durable]


@contextmanager
def failures_as_away(url: str, *, closing: Callable[[], None] | None = None) -> Iterator[None]:
    """Turn whatever the client libraries raise about the broker into BrokerAway.

    `closing` is called first, so that the next use starts with a new connection.
    """
    try:
        yield
    except (BrokerAway, *FAILURES) as failure:
        if closing:
            closing()
        if isinstance(failure, BrokerAway):
            raise
        place = urlsplit(url)
        where = f"{place.scheme}://{place.hostname or ''}{f':{place.port}' if place.port else ''}"
        kind = type(failure).__name__
        raise BrokerAway(f"the broker at {where} does not answer: {kind}: {failure}") from failure
