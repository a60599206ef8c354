"""Reception: a receiver with everything around it, and what it said; the tests write letters."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fleetjobs.broker.tasks import (
    make_deliveries_parcel,
    make_order_parcel,
    make_parcel,
    make_question_parcel,
    read_documents,
)
from fleetjobs.documents import decode, encode
from fleetjobs.messages import Asked, Deliveries, Delivery, Order, Question, Verb, decode_from_node
from fleetjobs.names import JobId, NodeId
from fleetjobs.node.admission import Admission
from fleetjobs.node.announcer import Announcer
from fleetjobs.node.backlog import Backlog
from fleetjobs.node.inline import InlineActor
from fleetjobs.node.orders import Orders
from fleetjobs.node.questions import Questions
from fleetjobs.node.receiver import Receiver
from fleetjobs.policy import read_policy
from fleetjobs.registry import Registry
from fleetjobs.requests import Request
from fleetjobs.signing import COORDINATOR, SERVER, SigningKey, digest, peek, unseal
from fleetjobs.spool.attempts import RunKey
from fleetjobs.spool.seen import Seen
from fleetjobs.spool.spool import Spool
from fleetjobs.targets import Target

NOW = datetime(2026, 11, 21, 4, 0, tzinfo=UTC)
JOB = JobId("019ab000-0000-7000-8000-000000000001")
KEY = RunKey(JOB, 1)
QUESTION = "019ab000-0000-7000-8000-000000000002"
POLICY = """
[[rules]]
effect = "allow"
callers = ["ada"]
agents = ["probe"]
actions = ["look", "work"]
"""
INTERFACE = {
    "metadata": {
        "name": "probe",
        "description": "for tests",
        "author": "fleetjobs",
        "license": "Apache-2.0",
        "version": "1.0.0",
        "url": "https://example.org",
        "timeout": 10,
        "provider": "fleetjobs",
    },
    "actions": [
        {
            "action": name,
            "description": name,
            "input": {
                "word": {
                    "prompt": "Word",
                    "description": "a word",
                    "type": "string",
                    "optional": False,
                    "validation": "^[a-z]+$",
                    "maxlength": 5,
                }
            },
            "output": {"word": {"description": "it", "display_as": "Word"}},
        }
        for name in ("look", "work", "forbidden")
    ],
    "fleetjobs": {"actions": {"look": {"inline": True}}},
}
MODULE = """
from fleetjobs.agent import Agent, action

class Probe(Agent):
    @action
    def look(self, word):
        with open({marks!r}, "a") as file:
            file.write(word + "\\n")
        if word == "leave":
            raise SystemExit(3)
        if word == "next":
            self.next("Never")
        if word == "data":
            raise ValueError("boom")
        self.reply["word"] = word

    @action
    def work(self, word):
        pass

    @action
    def forbidden(self, word):
        pass
"""


@dataclass
class Bench:
    """A receiver with everything around it, and what it did."""

    receiver: Receiver
    spool: Spool
    keys: dict[str, SigningKey]
    marks: Path
    reconsidered: list[RunKey]
    sent: list[str] = field(default_factory=list)
    acknowledged: int = 0

    def receive(self, body: bytes) -> None:
        self.receiver.receive(body, self.acknowledge, "claimed")

    def acknowledge(self) -> None:
        self.acknowledged += 1

    def documents(self) -> list[Any]:
        trusted = {key.id: key.verify_key for key in self.keys.values()}
        return [decode_from_node(unseal(sealed, trusted)[1]) for sealed in self.sent]

    def only(self) -> Any:
        (document,) = self.documents()
        return document

    def letter(  # noqa: PLR0913  everything that can be wrong with one
        self,
        action: str = "work",
        *,
        job: JobId = JOB,
        data: dict[str, Any] | None = None,
        caller: str = "ada",
        signer: str = "account:ada",
        deliverer: str = COORDINATOR,
        node: str = "web1",
        attempt: int = 1,
        issued_at: datetime = NOW,
        not_before: datetime | None = None,
        start_before: datetime | None = None,
        generation: int = 0,
        known: bool = False,
        key: str | None = None,
        agent: str = "probe",
        fills: dict[str, Any] | None = None,
        change: Callable[[str], str] = str,
    ) -> bytes:
        request = Request(
            id=job,
            org="default",
            caller=caller,
            agent=agent,
            action=action,
            data={"word": "abc"} if data is None else data,
            target=Target(),
            created_at=NOW,
        )
        sealed_request = self.keys[signer].seal(encode(request))
        delivery = Delivery(
            job=job,
            node=node,
            attempt=attempt,
            generation=generation,
            request=digest(sealed_request),
            known=known,
            key=key,
            issued_at=issued_at,
            not_before=not_before,
            start_before=start_before,
            fills=fills,
        )
        return make_parcel(
            delivery=delivery,
            sealed_delivery=self.keys[deliverer].seal(encode(delivery)),
            sealed_request=change(sealed_request),
            task=f"{agent}.{action}",
        ).body

    def together(self, *letters: bytes, deliverer: str = COORDINATOR) -> bytes:
        """The letters in one message."""
        pairs = [read_documents(letter) for letter in letters]
        deliveries = Deliveries(
            node="web1",
            issued_at=NOW,
            deliveries=[
                decode(Delivery, peek(delivery))
                for delivery in (pair["delivery"] for pair in pairs)
            ],
        )
        sealed = self.keys[deliverer].seal(encode(deliveries))
        requests = [pair["request"] for pair in pairs]
        return make_deliveries_parcel(deliveries=deliveries, sealed=sealed, requests=requests).body

    def order(self, verb: Verb, generation: int = 1, attempt: int = 1, **changes: Any) -> bytes:
        """An order of the coordinator's, unless something else is said."""
        signer = self.keys[changes.pop("deliverer", COORDINATOR)]
        order = Order(
            job=JOB,
            node=changes.pop("node", "web1"),
            attempt=attempt,
            generation=generation,
            verb=verb,
            issued_at=changes.pop("issued_at", NOW),
        )
        return make_order_parcel(order=order, sealed_order=signer.seal(encode(order))).body

    def question(self, what: Asked, **more: Any) -> bytes:
        """A question of the coordinator's."""
        fields = {"issued_at": NOW, "expires_at": NOW + timedelta(seconds=5), **more}
        question = Question(id=QUESTION, node="web1", what=what, **fields)
        sealed = self.keys[COORDINATOR].seal(encode(question))
        return make_question_parcel(question=question, sealed_question=sealed).body


def make_bench(tmp_path: Path) -> Bench:
    """A receiver on an empty disk, for the agent `probe`."""
    agents = tmp_path / "agents" / "probe"
    agents.mkdir(parents=True)
    marks = tmp_path / "marks"
    (agents / "probe.json").write_text(json.dumps(INTERFACE), encoding="utf-8")
    (agents / "probe.py").write_text(MODULE.format(marks=str(marks)), encoding="utf-8")
    names = (COORDINATOR, SERVER, "account:ada", "account:bob", "node:web1")
    keys = {name: SigningKey.generate(name) for name in names}
    trusted = {name: key.verify_key for name, key in keys.items()}
    keys["account:eve"] = SigningKey.generate("account:eve")
    keys["forged:ada"] = SigningKey.generate("account:ada")
    spool = Spool(tmp_path / "spool")
    sent: list[str] = []
    policy = read_policy(POLICY)

    def clock() -> datetime:
        return NOW

    registry = Registry([tmp_path / "agents"])
    assert not registry.refused
    orders = Orders(node=NodeId("web1"), spool=spool, signer=keys["node:web1"], clock=clock)
    reconsidered: list[RunKey] = []
    receiver = Receiver(
        node=NodeId("web1"),
        orders=orders,
        questions=Questions(node=NodeId("web1"), spool=spool, clock=clock),
        gone=Seen(tmp_path / "gone", clock, is_durable=True),
        reconsider=reconsidered.append,
        admission=Admission(
            node=NodeId("web1"),
            keys=lambda: trusted,
            policy=lambda: policy,
            registry=registry,
            facts=dict,
            classes=frozenset,
            own_key=keys["node:web1"].verify_key.text,
        ),
        signer=keys["node:web1"],
        spool=spool,
        seen=Seen(tmp_path / "seen", clock),
        inline=InlineActor(NodeId("web1"), tmp_path / "node.json", clock),
        send=sent.append,
        wake_launcher=lambda: None,
        backlog=Backlog(),
        announcer=Announcer(),
        clock=clock,
    )
    return Bench(receiver, spool, keys, marks, reconsidered, sent)
