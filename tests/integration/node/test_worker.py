"""A real worker on a real broker: orders, questions, Celery's own controls, and a way back."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from amqp.exceptions import NotFound
from celery import Celery

from fleetjobs.broker.connections import REPLIES, connect, node_queue_name
from fleetjobs.broker.parcels import Parcel, Publisher
from fleetjobs.broker.publishers import open_publisher
from fleetjobs.broker.subscribers import open_subscriber
from fleetjobs.broker.tasks import make_order_parcel, make_parcel, make_question_parcel
from fleetjobs.documents import Document, decode, encode
from fleetjobs.errors import BrokerAway
from fleetjobs.messages import (
    Answer,
    Asked,
    Beat,
    Delivery,
    Order,
    Question,
    Reply,
    Stage,
    Verb,
    decode_from_node,
)
from fleetjobs.signing import SigningKey, node_key_id, peek, unseal
from fleetjobs.spool.attempts import RunKey
from fleetjobs.states import State
from tests.servers import Redis
from tests.workbench import (
    CALLER,
    COORDINATOR,
    NODE,
    make_key,
    now,
    seal_run,
    wait_for,
    write_agent,
)

POLICY = """
[[rules]]
effect = "allow"
callers = ["*"]
agents = ["*"]
actions = ["*"]
"""


class House:
    """A worker in a process of its own; the test is its coordinator."""

    def __init__(self, root: Path, url: str) -> None:
        self.root = root
        self.url = url
        self.marks = root / "marks"
        self.key = SigningKey.generate(node_key_id(NODE))
        self.key.save(root / "node.pem")
        self.documents: list[Document] = []
        trust = root / "trust"
        trust.mkdir()
        for key in (CALLER, COORDINATOR):
            (trust / f"{key.id}.pub").write_text(key.verify_key.text)
        (root / "policy.toml").write_text(POLICY)
        (root / "node.toml").write_text(
            f'identity = "{NODE}"\nbroker = "{url}"\nstate = "state"\nkey = "node.pem"\n'
            'trust = "trust"\npolicy = "policy.toml"\nagents = ["agents"]\nbeat_every_s = 3600\n'
        )
        (root / "state").mkdir()
        self.shell(f"echo start >> {self.marks}; sleep 600")
        self.replies = open_subscriber(url, REPLIES)
        self.process: subprocess.Popen[bytes] | None = None
        self.publisher: Publisher | None = None  # None: a new one each time

    def shell(self, script: str) -> None:
        """Make `shell.do` run this script."""
        write_agent(self.root / "agents", "shell", program=f"#!/bin/sh\n{script}\n")

    def start(self, **environment: str) -> None:
        """Start the worker; it has said that it lives when this returns."""
        argv = [sys.executable, "-m", "fleetjobs.programs.node"]
        with (self.root / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*argv, "--config", str(self.root / "node.toml")],
                stderr=log,
                stdout=log,
                env={**os.environ, **environment},
            )
        beats = self.count(Beat)
        wait_for(lambda: self.count(Beat) > beats, within=60)

    def wait_for_end(self) -> None:
        """Until the worker has died, of itself."""
        assert self.process is not None
        self.process.wait(timeout=60)

    def stop(self) -> None:
        """End the worker, and what its programs have left."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=30)
        self.replies.close()

    def send(self, parcel: Parcel) -> None:
        """To the node's queue."""
        if self.publisher is not None:
            self.publisher.publish([parcel])
            return
        publisher = open_publisher(self.url)
        publisher.publish([parcel])
        publisher.close()

    def deliver(self, key: RunKey, **options: Any) -> None:
        """An attempt."""
        sealed, request = seal_run(key, **options)
        parcel = make_parcel(
            delivery=decode(Delivery, peek(sealed)),
            sealed_delivery=sealed,
            sealed_request=request,
            task="shell.do",
        )
        self.send(parcel)

    def order(self, verb: Verb, key: RunKey, generation: int = 1) -> None:
        """A change of mind."""
        order = Order(
            job=key.job,
            node=NODE,
            attempt=key.attempt,
            generation=generation,
            verb=verb,
            issued_at=now(),
        )
        self.send(make_order_parcel(order=order, sealed_order=COORDINATOR.seal(encode(order))))

    def ask(self, what: Asked, key: RunKey) -> None:
        """A question."""
        question = Question(
            id=make_key().job,
            node=NODE,
            what=what,
            job=key.job,
            issued_at=now(),
            expires_at=now() + timedelta(seconds=30),
        )
        sealed = COORDINATOR.seal(encode(question))
        self.send(make_question_parcel(question=question, sealed_question=sealed))

    def heard(self) -> list[Document]:
        """All that the node has said by now."""
        try:
            arrivals = self.replies.take(limit=100, within=0.05)
            self.replies.acknowledge(arrivals)
        except BrokerAway:
            return self.documents
        for arrival in arrivals:
            _, raw = unseal(arrival.body.decode(), {self.key.id: self.key.verify_key})
            self.documents.append(decode_from_node(raw))
        return self.documents

    def count(self, kind: type[Document]) -> int:
        """How many of that kind it has said by now."""
        return sum(isinstance(document, kind) for document in self.heard())

    def said(self, stage: Stage, within: float = 30.0) -> Reply:
        """What it says of that stage, when it does."""

        def find() -> Reply | None:
            for document in self.heard():
                if isinstance(document, Reply) and document.stage is stage:
                    return document
            return None

        wait_for(find, within)
        found = find()
        assert found is not None
        return found

    def has_told_of(self, job: str) -> bool:
        """Whether it has said anything of that job by now."""
        return any(isinstance(said, Reply) and said.job == job for said in self.heard())

    def has_queue(self) -> bool:
        """Whether the broker has its queue, with somebody to take from it."""
        with connect(self.url) as connection:
            try:
                found = connection.default_channel.queue_declare(
                    node_queue_name(NODE), passive=True
                )
            except NotFound:
                return False
            return found.consumer_count > 0

    def runs(self) -> int:
        """How many programs have begun."""
        return len(self.marks.read_text().split()) if self.marks.exists() else 0


@pytest.fixture
def house(tmp_path: Path, broker_url: str) -> Iterator[House]:
    house = House(tmp_path, broker_url)
    yield house
    house.stop()


@pytest.mark.spec("S0-05")
def test_an_attempt_is_withdrawn_edited_stopped_and_told_of(house: House) -> None:
    """One story, because a worker takes a second to start."""
    house.start()
    key = make_key()

    house.deliver(key, not_before=now() + timedelta(hours=1), text="old")
    house.order(Verb.WITHDRAW, key)
    assert house.said(Stage.WITHDRAWN).generation == 1

    house.deliver(key, generation=2, text="new")
    assert house.said(Stage.STARTED).generation == 2
    house.ask(Asked.RUNS, key)
    wait_for(lambda: house.count(Answer) == 1)

    house.order(Verb.STOP, key, 3)
    reply = house.said(Stage.FINISHED)

    assert (reply.state, reply.generation) == (State.CANCELLED, 3)
    assert house.runs() == 1
    (answer,) = [document for document in house.documents if isinstance(document, Answer)]
    assert [(run.stage, run.generation) for run in answer.runs] == [(Stage.STARTED, 2)]


@pytest.mark.spec("F16")
def test_an_order_whose_worker_was_killed_before_it_was_carried_out(house: House) -> None:
    """The coordinator sends it again, as it does until it hears of its end."""
    house.start(FLEETJOBS_CRASH_POINT="after_fence")
    key = make_key()
    house.deliver(key, not_before=now() + timedelta(hours=1))
    wait_for((house.root / "state/spool/runs" / str(key) / "accepted").exists)

    house.order(Verb.STOP, key)
    house.wait_for_end()
    house.start()
    house.order(Verb.STOP, key)
    reply = house.said(Stage.FINISHED)

    assert (reply.state, reply.generation) == (State.CANCELLED, 1)
    assert house.runs() == 0


@pytest.mark.spec("S0-04")
def test_celerys_revoke_ends_an_attempt_as_a_stop_does(house: House) -> None:
    house.start()
    key = make_key()
    house.deliver(key)
    house.said(Stage.STARTED)
    control = Celery(broker=house.url, set_as_current=False).control
    task = f"{key.job}.{NODE}.{key.attempt}"

    kept = control.revoke(task, reply=True, timeout=10, limit=1)
    ended = control.revoke(task, terminate=True, signal="SIGKILL", reply=True, timeout=10, limit=1)
    reply = house.said(Stage.FINISHED)

    assert kept == [{f"{NODE}@fleetjobs": {"ok": f"{task}: has begun; terminate it"}}]
    assert ended == [{f"{NODE}@fleetjobs": {"ok": f"{task}: is ended"}}]
    assert (reply.state, reply.statusmsg) == (State.CANCELLED, "cancelled by remote control")


@pytest.mark.spec("S0-12")
def test_a_node_is_one_unit_of_two_processes(house: House) -> None:
    """The worker and its runner host, which ends with it; a run's processes are the job's."""
    house.start()
    assert house.process is not None
    worker = psutil.Process(house.process.pid)

    (host,) = worker.children(recursive=True)
    worker.kill()
    house.wait_for_end()

    wait_for(lambda: not host.is_running())


@pytest.mark.spec("F8")
def test_a_node_says_that_it_is_back_as_soon_as_the_broker_is(tmp_path: Path) -> None:
    """Its next regular beat would be an hour away."""
    with Redis(tmp_path / "redis") as broker:
        (tmp_path / "node").mkdir()
        house = House(tmp_path / "node", broker.url)
        house.start()
        wait_for(lambda: house.count(Beat) == 2)  # one at its start, one at the connection

        broker.kill()
        broker.start()

        wait_for(lambda: house.count(Beat) == 3, within=30)
        house.stop()


@pytest.mark.spec("F8")
@pytest.mark.long  # RabbitMQ 3.10 forgets the consumer now and then when its queue comes back
@pytest.mark.parametrize("found", ["by the worker", "by the coordinator"])
def test_a_worker_whose_queue_is_deleted_takes_from_the_next_one(
    tmp_path: Path, rabbit_url: str, found: str
) -> None:
    """An operator's slip: the broker lives, and so do its other queues. Several times, for luck."""
    house = House(tmp_path, rabbit_url)
    publisher = house.publisher = open_publisher(rabbit_url)
    try:
        house.start()
        for _ in range(4):
            key = make_key()
            house.deliver(make_key())
            with connect(rabbit_url) as connection:
                connection.default_channel.queue_delete(node_queue_name(NODE))
            if found == "by the worker":
                wait_for(house.has_queue, within=60)

            house.deliver(key)

            wait_for(lambda name=key.job: house.has_told_of(name), within=60)
    finally:
        house.stop()
        publisher.close()
