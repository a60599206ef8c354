"""What any broker must do for us: keep, confirm, hand over, hand over again, forget when told."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fleetjobs.broker.connections import connect, is_amqp
from fleetjobs.broker.parcels import Arrival, Parcel, Publisher, Subscriber, Unconfirmed
from fleetjobs.broker.publishers import open_publisher
from fleetjobs.broker.subscribers import open_subscriber
from fleetjobs.broker.tasks import make_parcel, read_documents
from fleetjobs.errors import BrokerAway, InvalidDocument, InvalidSetting
from fleetjobs.messages import Delivery
from tests.processes import ServerProcess, free_port, wait_for
from tests.servers import Rabbit, Redis

SOON = 30.0  #: that long for what is there; a busy machine takes its time


def parcels(*bodies: bytes, queue: str = "replies") -> list[Parcel]:
    return [Parcel(queue=queue, body=body, content_type="application/jose") for body in bodies]


@pytest.fixture
def publisher(broker_url: str) -> Iterator[Publisher]:
    with closing(open_publisher(broker_url)) as publisher:
        yield publisher


@pytest.fixture
def subscriber(broker_url: str) -> Iterator[Subscriber]:
    with closing(open_subscriber(broker_url, "replies")) as subscriber:
        yield subscriber


def take_all(subscriber: Subscriber, count: int) -> list[Arrival]:
    taken: list[Arrival] = []
    while len(taken) < count and (some := subscriber.take(limit=count, within=SOON)):
        taken += some
    return taken


def wait_for_broker(publisher: Publisher) -> None:
    """Until the broker confirms again: a connection that died shows at its next use."""

    def confirms() -> bool:
        try:
            publisher.publish(parcels(b"again"))
        except BrokerAway:
            return False
        return True

    wait_for(confirms, within=30)


def test_bytes_arrive_as_they_were_sent(publisher: Publisher, subscriber: Subscriber) -> None:
    sent = [b"", b"plain", b"\x00\xff\xfe rubbish", "ünï".encode(), b"x" * 1_000_000]

    publisher.publish(parcels(*sent))

    assert [arrival.body for arrival in take_all(subscriber, len(sent))] == sent


def test_a_batch_keeps_its_order(publisher: Publisher, subscriber: Subscriber) -> None:
    """Also one longer than what is handed over before the first acknowledgement."""
    sent = [str(number).encode() for number in range(1_500)]

    publisher.publish(parcels(*sent))

    taken: list[bytes] = []
    while len(taken) < len(sent) and (arrivals := subscriber.take(limit=400, within=SOON)):
        taken += [arrival.body for arrival in arrivals]
        subscriber.acknowledge(arrivals)
    assert taken == sent


def test_what_is_loose_comes_with_all_else(publisher: Publisher, subscriber: Subscriber) -> None:
    sent = [b"kept", b"loose", b"also loose"]

    publisher.publish(
        [
            Parcel(queue="replies", body=body, content_type="x", loose=body != b"kept")
            for body in sent
        ]
    )

    arrived = take_all(subscriber, len(sent))
    assert sorted(arrival.body for arrival in arrived) == sorted(sent)
    subscriber.acknowledge(arrived)


def test_nothing_to_take_is_no_error(subscriber: Subscriber) -> None:
    assert subscriber.take(limit=10, within=0.05) == []


def test_a_batch_is_no_longer_than_asked(publisher: Publisher, subscriber: Subscriber) -> None:
    publisher.publish(parcels(*[b"x"] * 7))

    sizes = [len(subscriber.take(limit=3, within=SOON)) for _ in range(3)]

    assert max(sizes) <= 3


def test_what_is_acknowledged_does_not_come_again(
    broker_url: str, publisher: Publisher, subscriber: Subscriber
) -> None:
    publisher.publish(parcels(b"once"))
    subscriber.acknowledge(take_all(subscriber, 1))
    subscriber.close()

    with closing(open_subscriber(broker_url, "replies")) as another:
        assert another.take(limit=1, within=0.2) == []


def test_what_is_not_acknowledged_comes_again(
    broker_url: str, publisher: Publisher, subscriber: Subscriber
) -> None:
    publisher.publish(parcels(b"kept", b"also kept"))
    take_all(subscriber, 2)
    subscriber.close()

    with closing(open_subscriber(broker_url, "replies")) as another:
        assert {arrival.body for arrival in take_all(another, 2)} == {b"kept", b"also kept"}


@pytest.mark.parametrize(("done", "left"), [([0, 1], {b"2"}), ([1], {b"0", b"2"})])
def test_what_is_acknowledged_of_a_batch_is_no_more_than_was_said(
    broker_url: str, publisher: Publisher, subscriber: Subscriber, done: list[int], left: set[bytes]
) -> None:
    publisher.publish(parcels(b"0", b"1", b"2"))
    taken = take_all(subscriber, 3)
    subscriber.acknowledge([taken[place] for place in done])
    subscriber.close()

    with closing(open_subscriber(broker_url, "replies")) as another:
        again = take_all(another, len(left))
        if not left <= {arrival.body for arrival in again}:  # an acknowledgement may be lost
            again += another.take(limit=3, within=SOON)
        assert left <= {arrival.body for arrival in again}
        another.acknowledge(again)


def test_many_queues_at_once(broker_url: str, publisher: Publisher) -> None:
    """A fan-out: each node's queue gets its own, the queue being made if it is not there."""
    names = [f"node.n{number}" for number in range(40)]

    publisher.publish([parcels(name.encode(), queue=name)[0] for name in names])

    for name in names[::13]:
        with closing(open_subscriber(broker_url, name)) as subscriber:
            assert [arrival.body for arrival in take_all(subscriber, 1)] == [name.encode()]


def test_a_queue_that_vanished_is_made_anew(broker_url: str, publisher: Publisher) -> None:
    """The broker lost its disk while we were connected."""
    publisher.publish(parcels(b"one", queue="node.gone"))
    with closing(open_subscriber(broker_url, "node.gone")) as subscriber:
        subscriber.acknowledge(take_all(subscriber, 1))
        if is_amqp(broker_url):
            subscriber._connection.default_channel.queue_delete("node.gone")

    publisher.publish(parcels(b"two", queue="node.gone"))

    with closing(open_subscriber(broker_url, "node.gone")) as subscriber:
        assert [arrival.body for arrival in take_all(subscriber, 1)] == [b"two"]


def test_a_queue_that_is_there_and_is_another_holds_up_no_other(rabbit_url: str) -> None:
    """Say one that was declared by hand, or by a version that declared queues otherwise."""
    with connect(rabbit_url) as connection:
        connection.channel().queue_declare("odd", durable=True, auto_delete=False)
    odd, good = parcels(b"odd", queue="odd"), parcels(b"1", b"2")

    with closing(open_publisher(rabbit_url)) as publisher:
        with pytest.raises(Unconfirmed) as refused:
            publisher.publish([good[0], *odd, good[1]])
        publisher.publish(parcels(b"3"))

    assert refused.value.parcels == (odd[0],)
    with closing(open_subscriber(rabbit_url, "replies")) as subscriber:
        assert [arrival.body for arrival in take_all(subscriber, 3)] == [b"1", b"2", b"3"]


def test_no_broker_is_said_with_its_address_and_without_its_password(broker_url: str) -> None:
    scheme = "amqp" if is_amqp(broker_url) else "redis"
    port = free_port()
    publisher = open_publisher(f"{scheme}://user:secret@127.0.0.1:{port}/0")

    with pytest.raises(BrokerAway, match=str(port)) as raised:
        publisher.publish(parcels(b"x"))

    assert "secret" not in str(raised.value)


def test_an_unknown_broker_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="kafka"):
        open_publisher("kafka://localhost")


@pytest.mark.slow
@pytest.mark.spec("F8")
@pytest.mark.parametrize("kind", [Rabbit, Redis])
def test_confirmed_parcels_survive_the_kill_of_the_broker(
    tmp_path: Path, kind: type[ServerProcess]
) -> None:
    """What publish returned from is on the broker's disk; both sides find their way back."""
    with kind(tmp_path) as broker:
        publisher = open_publisher(broker.url)
        subscriber = open_subscriber(broker.url, "replies")
        publisher.publish(parcels(b"first"))
        # RabbitMQ 3 forgets the Raft member of a quorum queue made in its last half second
        broker.stop()
        broker.start()
        wait_for_broker(publisher)
        publisher.publish(parcels(*[str(number).encode() for number in range(300)]))

        broker.kill()
        with pytest.raises(BrokerAway):
            publisher.publish(parcels(b"lost"))
        with pytest.raises(BrokerAway):
            subscriber.take(limit=1, within=1.0)
        broker.start()
        publisher.publish([replace(parcel, loose=True) for parcel in parcels(b"loose again")])
        publisher.publish(parcels(b"last"))

        bodies: set[bytes] = set()

        def all_there() -> bool:
            arrived = subscriber.take(limit=400, within=1.0)
            bodies.update(arrival.body for arrival in arrived)
            subscriber.acknowledge(arrived)
            return {b"last", b"loose again"} <= bodies

        wait_for(all_there, within=30)
        assert bodies >= {str(number).encode() for number in range(300)}
        publisher.close()
        subscriber.close()


def test_a_task_reads_back_as_what_it_carries() -> None:
    delivery = Delivery(
        job="019ab000-0000-7000-8000-000000000000",
        node="web1",
        attempt=2,
        request="0" * 64,
        issued_at=datetime.now(UTC),
    )

    parcel = make_parcel(
        delivery=delivery, sealed_delivery="d.d.d", sealed_request="r.r.r", task="demo.echo"
    )

    assert parcel.queue == "node.web1"
    assert parcel.headers["id"] == "019ab000-0000-7000-8000-000000000000.web1.2"
    assert read_documents(parcel.body) == {"delivery": "d.d.d", "request": "r.r.r"}


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff", b"[]", b'[[],{"delivery":1,"request":"x"},{}]', b"[" * 99_999],
)
def test_rubbish_is_no_task(body: bytes) -> None:
    with pytest.raises(InvalidDocument):
        read_documents(body)
