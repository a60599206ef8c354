"""The consumer: what goes wrong with one message stays with it."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
from amqp.exceptions import RecoverableConnectionError

from fleetjobs.errors import SpoolFull
from fleetjobs.node.backlog import Backlog
from fleetjobs.node.consumer import NodeConsumer
from tests.reception import KEY, Bench

QUEUE = "node.web1"


@dataclass
class Message:
    """As kombu hands it over; `lost`: its connection is."""

    body: bytes
    lost: bool = False
    acknowledged: bool = False
    requeued: bool = False
    headers: dict[str, Any] = field(default_factory=lambda: {"id": "claimed"})
    delivery_info: dict[str, str] = field(default_factory=lambda: {"routing_key": QUEUE})

    def ack(self) -> None:
        """As the broker is told."""
        if self.lost:
            raise RecoverableConnectionError("connection already closed")
        self.acknowledged = True

    def requeue(self) -> None:
        """As the broker is told."""
        if self.lost:
            raise RecoverableConnectionError("connection already closed")
        self.requeued = True


class Timer:
    """Calls when the test says so."""

    def __init__(self) -> None:
        self.due: list[Callable[[], object]] = []

    def call_after(self, _: float, what: Callable[..., object], arguments: Any = ()) -> None:
        """Later."""
        self.due.append(lambda: what(*arguments))

    def call_repeatedly(self, *_: object) -> None:
        """Never."""


@dataclass
class Stand:
    """A consumer without Celery: what it does with messages, and what is due."""

    take: Callable[[Message], None]
    timer: Timer


@pytest.fixture
def stand(bench: Bench) -> Stand:
    consumer = NodeConsumer.__new__(NodeConsumer)
    channel = SimpleNamespace(
        queue_declare=lambda *_, **__: SimpleNamespace(message_count=0), __exit__=None
    )
    node = SimpleNamespace(
        receiver=bench.receiver,
        announcer=bench.receiver.announcer,
        backlog=Backlog(),
        launcher=SimpleNamespace(wake=lambda: None),
        beat_now=Event(),
    )
    consumer.app = SimpleNamespace(  # type: ignore[assignment]
        node=node, conf=SimpleNamespace(task_default_queue=QUEUE)
    )
    consumer.connection = SimpleNamespace(
        channel=lambda: nullcontext(channel), channel_errors=(KeyError,)
    )
    consumer.timer = Timer()
    return Stand(consumer.create_task_handler(), consumer.timer)


@pytest.mark.parametrize("error", [SpoolFull("no room"), OSError("no disk"), ZeroDivisionError()])
def test_a_message_that_cannot_be_taken_is_given_back_and_the_next_one_is(
    stand: Stand, bench: Bench, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Whatever it is: raised, it would end the worker, and then the next worker."""
    message = Message(bench.letter())

    def refuse(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(bench.spool, "add", refuse)
        stand.take(message)
    assert (message.acknowledged, message.requeued) == (False, False)
    for call in stand.timer.due:
        call()
    assert message.requeued

    stand.take(message)
    assert message.acknowledged
    assert bench.spool.find(KEY) is not None


def test_what_is_given_back_by_a_lost_connection_does_not_end_the_next_one(
    stand: Stand, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would again and again: with each of them more messages find no room."""
    message = Message(bench.letter(), lost=True)
    monkeypatch.setattr(bench.spool, "add", lambda *_, **__: (_ for _ in ()).throw(SpoolFull("x")))
    stand.take(message)

    for call in stand.timer.due:
        call()

    assert not message.requeued


def test_a_message_that_cannot_be_acknowledged_is_taken_all_the_same(
    stand: Stand, bench: Bench
) -> None:
    """It comes again, and is known then."""
    stand.take(Message(bench.letter(), lost=True))
    again = Message(bench.letter())
    stand.take(again)

    assert again.acknowledged
    assert len(bench.spool.runs()) == 1
