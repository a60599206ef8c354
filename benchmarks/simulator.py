"""Simulator: a thousand nodes in one process, to see how the desk grows with the fleet.

    python -m benchmarks.simulator [--pairs rabbit+postgres redis+sqlite] [--nodes 1000 3000]

Server, coordinator, broker and database are real; so are the nodes' keys, queues, beats and signed
replies. Only what stands behind the queues is simulated. Seconds for one job over all nodes:
`beats` until a beat of each is kept, with
the inventory of those that are new, `stored` until the caller has the id,
`handed` until every node has its delivery and the database says so, `collected` until the job has
ended, once all nodes reply. `whole` is another job, for which they reply as soon as they are asked.
"""

import argparse
import base64
import json
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import redis

from benchmarks.desk import Desk
from benchmarks.fanout import BROKERS
from benchmarks.submit import database_url
from fleetjobs.broker.connections import connect, durable_queue, is_amqp, node_queue_name
from fleetjobs.broker.parcels import Publisher
from fleetjobs.broker.publishers import open_publisher
from fleetjobs.broker.tasks import read_documents, reply_parcel
from fleetjobs.client.fleet import Fleet
from fleetjobs.client.jobs import Job
from fleetjobs.client.rpc import RpcClient, rpcclient
from fleetjobs.documents import decode, encode
from fleetjobs.messages import Beat, Delivery, Inventory, Reply, Stage
from fleetjobs.names import NodeId
from fleetjobs.programs.places import AGENTS
from fleetjobs.programs.premises import ORG, Premises
from fleetjobs.programs.settings import ServerSettings, load_settings
from fleetjobs.signing import SigningKey, node_key_id, peek
from fleetjobs.states import State
from fleetjobs.store.database import Database
from fleetjobs.store.nodes import enroll_node

CLASS = "simulated"  #: of all simulated nodes
LOOK_S = 0.02
PATIENCE_S = 600
PIECE = 500  #: queues that are asked, or documents that are sent, at once


def main() -> None:
    """Print a row for each size."""
    parser = argparse.ArgumentParser(description="Simulate many nodes.")
    parser.add_argument("--pairs", nargs="+", default=["rabbit+postgres", "redis+sqlite"])
    parser.add_argument("--nodes", nargs="+", type=int, default=[1000, 3000])
    options = parser.parse_args()
    heads = ("beats", "stored", "handed", "collected", "whole", "runs/s")
    print(f"{'broker+database':16} {'nodes':>6}", *(f"{head:>9}" for head in heads))
    for pair in options.pairs:
        measure(pair, sorted(options.nodes))


def measure(pair: str, sizes: Sequence[int]) -> None:
    """A row for each size, on one fleet that grows."""
    broker, _, kind = pair.partition("+")
    with (
        tempfile.TemporaryDirectory(prefix="fleetjobs-bench-") as directory,
        BROKERS[broker](Path(directory) / "broker") as server,
        database_url(kind, Path(directory)) as url,
        Desk(server.url, 1, url) as desk,
        closing(open_publisher(server.url)) as publisher,
    ):
        settings = load_settings(ServerSettings, Premises(desk.state).settings("server"), {})
        simulator = Simulator(server.url, Database.open(settings.database), publisher)
        fleet = desk.connect()
        for size in sizes:
            beats = simulator.grow(size, fleet)
            client = rpcclient("demo", classes=[CLASS], fleet=fleet)
            times = [beats, *run_in_phases(client, simulator), run_whole(client, simulator)]
            cells = " ".join(f"{seconds:9.2f}" for seconds in times)
            print(f"{pair:16} {size:6} {cells} {size / times[-1]:9.0f}", flush=True)
        simulator.close()


def run_in_phases(client: RpcClient, simulator: "Simulator") -> list[float]:
    """Seconds to store a job, to hand it over, and to collect its replies."""
    began = time.perf_counter()
    job = client.submit("echo", text="a")
    stored = time.perf_counter()
    arrived: list[bytes] = []
    while len(arrived) < job.nodes:
        arrived += simulator.take()
    wait_for(lambda: _tally(job).get(State.QUEUED) == job.nodes)
    handed = time.perf_counter()
    simulator.answer(arrived)
    _finish(job)
    return [stored - began, handed - stored, time.perf_counter() - handed]


def run_whole(client: RpcClient, simulator: "Simulator") -> float:
    """Seconds from the call to the job's end."""
    began = time.perf_counter()
    job = client.submit("echo", text="a")
    left = job.nodes
    while left > 0:
        arrived = simulator.take()
        simulator.answer(arrived)
        left -= len(arrived)
    _finish(job)
    return time.perf_counter() - began


def _finish(job: Job) -> None:
    job.wait(PATIENCE_S)
    if job.state is not State.SUCCEEDED:
        raise RuntimeError(f"the job did not end well: {job.document}")


def _tally(job: Job) -> dict[str, int]:
    _ = job.state  # asks the server
    tally: dict[str, int] = job.document["tally"]
    return tally


def wait_for(condition: Callable[[], object], every: float = LOOK_S) -> None:
    """Until it is true. Raises TimeoutError."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not so within {PATIENCE_S} s")
        time.sleep(every)


class Simulator:
    """Nodes that accept everything and reply at once."""

    def __init__(self, broker: str, database: Database, publisher: Publisher) -> None:
        """No nodes yet. The database is only for enrolling them."""
        self._database = database
        self._publisher = publisher
        self._keys: dict[str, SigningKey] = {}
        self._inbox: Inbox = AmqpInbox(broker) if is_amqp(broker) else RedisInbox(broker)

    def grow(self, size: int, fleet: Fleet) -> float:
        """Have that many nodes; seconds from their beats until the server knows them."""
        names = [f"sim{number:05}.example.org" for number in range(len(self._keys), size)]
        keys = {name: SigningKey.generate(node_key_id(name)) for name in names}
        now = datetime.now(UTC)
        with self._database.transaction() as connection:
            for name, key in keys.items():
                enroll_node(connection, NodeId(name), ORG, key.verify_key, now)
        self._keys |= keys
        self._inbox.add([node_queue_name(name) for name in names])
        time.sleep(1.5)  # the collector reads the keys again no sooner, and drops the first beat
        began = time.perf_counter()
        inventory = _inventory()
        beats = [(name, inventory if name in keys else None) for name in self._keys]
        self._send([self._keys[name].seal(encode(_beat(name, tells))) for name, tells in beats])
        wait_for(
            lambda: fleet.status()["nodes"]["alive"] > size, every=0.25
        )  # and the fleet's real one
        return time.perf_counter() - began

    def take(self) -> list[bytes]:
        """What lies in the nodes' queues."""
        return self._inbox.take()

    def answer(self, bodies: Sequence[bytes]) -> None:
        """Reply to each that all went well."""
        self._send([self._reply(body) for body in bodies])

    def close(self) -> None:
        """Let the connections go."""
        self._inbox.close()
        self._database.close()

    def _reply(self, body: bytes) -> str:
        delivery = decode(Delivery, peek(read_documents(body)["delivery"]))
        now = datetime.now(UTC)
        reply = Reply(
            job=delivery.job,
            node=delivery.node,
            attempt=delivery.attempt,
            stage=Stage.FINISHED,
            state=State.SUCCEEDED,
            statusmsg="OK",
            data={"text": "a"},
            accepted_at=now,
            started_at=now,
            ended_at=now,
        )
        return self._keys[delivery.node].seal(encode(reply))

    def _send(self, sealed: Sequence[str]) -> None:
        for start in range(0, len(sealed), PIECE):
            self._publisher.publish([reply_parcel(each) for each in sealed[start : start + PIECE]])


def _inventory() -> Inventory:
    document = json.loads((AGENTS / "demo" / "demo.json").read_text())
    facts = {"os": {"name": "Debian"}}
    return Inventory(facts=facts, classes=[CLASS], interfaces={"demo": document})


def _beat(name: str, inventory: Inventory | None) -> Beat:
    now = datetime.now(UTC)
    return Beat(node=name, at=now, started_at=now, software="0", inventory=inventory)


class Inbox(Protocol):
    """The queues of many nodes."""

    def add(self, queues: Sequence[str]) -> None:
        """Make these queues, and take from them too."""

    def take(self) -> list[bytes]:
        """What has come; waits a moment for it."""

    def close(self) -> None:
        """Let the connection go."""


class AmqpInbox:
    """One connection and one channel, a consumer for each queue."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection = connect(url)
        self._channel: Any = self._connection.channel()
        self._arrived: deque[Any] = deque()

    def add(self, queues: Sequence[str]) -> None:
        """Make these queues, and take from them too."""
        for name in queues:
            durable_queue(name, self._url).bind(self._channel).declare()
            self._channel.basic_consume(name, callback=self._arrived.append)

    def take(self) -> list[bytes]:
        """What has come; waits a moment for it."""
        try:
            while len(self._arrived) < PIECE:
                self._connection.drain_events(timeout=0.01)
        except TimeoutError:
            pass
        taken = [self._arrived.popleft() for _ in range(len(self._arrived))]
        for message in taken:
            self._channel.basic_ack(message.delivery_tag)
        return [_bytes(message.body) for message in taken]

    def close(self) -> None:
        """Let the connection go."""
        self._connection.collect(socket_timeout=1)


def _bytes(body: str | bytes) -> bytes:
    return body.encode() if isinstance(body, str) else body


class RedisInbox:
    """Looks into all lists in turn, past kombu, which waits for one list after the other."""

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(url)
        self._queues: list[str] = []

    def add(self, queues: Sequence[str]) -> None:
        """Take from these queues too; Redis makes them when something comes."""
        self._queues += queues

    def take(self) -> list[bytes]:
        """What has come; waits a moment for it."""
        bodies: list[bytes] = []
        for start in range(0, len(self._queues), PIECE):
            with self._redis.pipeline(transaction=False) as pipeline:
                for name in self._queues[start : start + PIECE]:
                    pipeline.rpop(name)
                found = pipeline.execute()
            bodies += [base64.b64decode(json.loads(raw)["body"]) for raw in found if raw]
        if not bodies:
            time.sleep(LOOK_S)
        return bodies

    def close(self) -> None:
        """Let the connection go."""
        self._redis.close()


if __name__ == "__main__":
    main()
