"""Taking batches out of Redis: kombu and we have to understand each other."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from redis import Redis

from fleetjobs.broker.connections import VISIBILITY_S
from fleetjobs.broker.parcels import Parcel
from fleetjobs.broker.publishers import RedisPublisher
from fleetjobs.broker.subscribers import RedisSubscriber

QUEUE = "replies"
SOON = 30.0  #: that long for what is there; a busy machine takes its time


@pytest.fixture
def client(redis_url: str) -> Iterator[Redis]:
    """Redis, looked at directly."""
    with closing(Redis.from_url(redis_url)) as client:
        yield client


@pytest.fixture
def subscriber(redis_url: str) -> Iterator[RedisSubscriber]:
    """Of an empty queue."""
    with closing(RedisSubscriber(redis_url, QUEUE)) as subscriber:
        yield subscriber


def publish(url: str, *bodies: bytes) -> None:
    """Put them into the queue."""
    with closing(RedisPublisher(url)) as publisher:
        publisher.publish(
            [Parcel(queue=QUEUE, body=body, content_type="application/jose") for body in bodies]
        )


def test_what_a_killed_taker_held_comes_again(
    redis_url: str, client: Redis, subscriber: RedisSubscriber
) -> None:
    """Kombu's note of what is taken is ours: any other taker gives it back when it is old."""
    publish(redis_url, b"one", b"two")
    killed = RedisSubscriber(redis_url, QUEUE)
    assert len(killed.take(limit=10, within=SOON)) == 2
    assert client.llen(QUEUE) == 0
    for tag in client.zrange("unacked_index", 0, -1):
        client.zincrby("unacked_index", -VISIBILITY_S - 1, tag)

    again = subscriber.take(limit=10, within=SOON)
    subscriber.acknowledge(again)

    assert {arrival.body for arrival in again} == {b"one", b"two"}
    assert (client.hlen("unacked"), client.zcard("unacked_index")) == (0, 0)


def test_what_is_let_go_is_taken_again_in_its_order(
    redis_url: str, client: Redis, subscriber: RedisSubscriber
) -> None:
    publish(redis_url, b"one", b"two", b"three")
    other = RedisSubscriber(redis_url, QUEUE)
    other.take(limit=2, within=SOON)

    other.close()

    taken = subscriber.take(limit=10, within=SOON)
    assert [arrival.body for arrival in taken] == [b"one", b"two", b"three"]
    assert client.zcard("unacked_index") == 3


@pytest.mark.parametrize("rubbish", [b"", b"\xff\0", b"[]", b'{"body": 1}', b"null"])
def test_rubbish_is_handed_over_as_it_is(
    client: Redis, subscriber: RedisSubscriber, rubbish: bytes
) -> None:
    """Whoever takes it says that it is none; it must not come between others and their queue."""
    client.lpush(QUEUE, rubbish)

    (arrival,) = subscriber.take(limit=10, within=SOON)
    subscriber.acknowledge([arrival])

    assert arrival.body == rubbish
    assert client.hlen("unacked") == 0
