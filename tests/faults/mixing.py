"""Mixing: a broker that cannot count and keeps no order."""

from random import Random
from typing import Any

from kombu import Connection, Queue

from fleetjobs.broker.connections import connect, queues_of
from fleetjobs.broker.parcels import Parcel
from fleetjobs.broker.publishers import open_publisher


def mix(url: str, queue: str, dice: Random, copies: int = 2) -> int:
    """Double what waits in the queue and put it there in any order; how many there were."""
    with connect(url) as connection:
        waiting = [
            (message, place.name != queue)
            for place in queues_of(queue, url)
            for message in _take(connection, place)
        ]
        doubled = [_parcel(queue, message, loose=loose) for message, loose in waiting] * copies
        dice.shuffle(doubled)
        publisher = open_publisher(url)
        publisher.publish(doubled)
        publisher.close()
        for message, _ in waiting:
            message.ack()
    return len(waiting)


def _take(connection: Connection, queue: Queue) -> list[Any]:
    bound = queue.bind(connection.default_channel)
    bound.declare()
    found = []
    while (message := bound.get()) is not None:
        found.append(message)
    return found


def _parcel(queue: str, message: Any, *, loose: bool) -> Parcel:
    body = message.body
    return Parcel(
        queue=queue,
        body=body if isinstance(body, bytes) else str(body).encode(),
        content_type=message.content_type,
        headers=dict(message.headers or {}),
        loose=loose,
    )
