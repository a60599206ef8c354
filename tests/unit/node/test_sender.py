"""The sender forgets a reply only when the broker has confirmed it."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fleetjobs.broker.parcels import Parcel
from fleetjobs.errors import BrokerAway
from fleetjobs.messages import Stage
from fleetjobs.names import JobId
from fleetjobs.node.sender import Sender
from fleetjobs.spool.attempts import RunKey
from fleetjobs.spool.spool import Spool

KEY = RunKey(JobId("019ab000-0000-7000-8000-000000000001"), 1)


class Broker:
    """Keeps the publisher's protocol, and can be away."""

    def __init__(self) -> None:
        self.away = False
        self.bodies: list[bytes] = []

    def publish(self, parcels: Sequence[Parcel]) -> None:
        if self.away:
            raise BrokerAway("gone")
        self.bodies += [parcel.body for parcel in parcels]

    def close(self) -> None:
        pass


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    spool = Spool(tmp_path)
    spool.add(KEY, delivery="d", request="r", accepted_at=datetime.now(UTC))
    return spool


@pytest.mark.spec("I2")
def test_what_the_broker_did_not_take_is_sent_again(spool: Spool) -> None:
    broker = Broker()
    sender = Sender(broker, spool)
    spool.put_reply(KEY, Stage.FINISHED, "on.disk")
    sender.send("loose.one")
    broker.away = True

    with pytest.raises(BrokerAway):
        sender.step()
    broker.away = False
    sender.step()

    assert broker.bodies == [b"loose.one", b"on.disk"]
    assert spool.outbox() == []


def test_the_outbox_is_looked_at_when_there_is_something_in_it(spool: Spool) -> None:
    """Not with each loose document: most of what is said needs no disk."""
    broker = Broker()
    sender = Sender(broker, spool)
    sender.send("loose.one")
    sender.step()
    spool.put_reply(KEY, Stage.FINISHED, "on.disk")
    sender.send("loose.two")
    sender.step()
    before = list(broker.bodies)

    sender.wake()
    sender.step()

    assert before == [b"loose.one", b"loose.two"]
    assert broker.bodies == [*before, b"on.disk"]


def test_a_confirmed_reply_is_kept_with_its_run(spool: Spool) -> None:
    sender = Sender(Broker(), spool)
    spool.put_reply(KEY, Stage.FINISHED, "on.disk")
    sender.wake()

    sender.step()

    run = spool.find(KEY)
    assert run is not None
    assert run.final() == "on.disk"


def test_more_than_a_batch_is_sent_in_one_step(spool: Spool) -> None:
    broker = Broker()
    sender = Sender(broker, spool)
    for number in range(450):
        sender.send(str(number))

    sender.step()

    assert broker.bodies == [str(number).encode() for number in range(450)]


@pytest.mark.timeout(10)
def test_a_reply_that_cannot_be_read_holds_up_no_other(spool: Spool) -> None:
    """It is the oldest, so all others were behind it."""
    broker = Broker()
    sender = Sender(broker, spool)
    odd = spool.root / "outbox" / f"{KEY.job}.7.finished"
    os.mkfifo(odd)
    os.utime(odd, (0, 0))
    spool.put_reply(KEY, Stage.FINISHED, "on.disk")

    sender.wake()
    sender.step()

    assert broker.bodies == [b"on.disk"]
    assert (spool.outbox(), spool.broken()) == ([], [odd.name])
