"""The receiver takes what is signed, addressed, fresh, new, valid and allowed; no more."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fleetjobs.broker.tasks import make_parcel
from fleetjobs.errors import SpoolFull
from fleetjobs.jobs import JobId, NodeId
from fleetjobs.messages import Delivery, Refusal, Reply, Request, Stage, decode_from_node, encode
from fleetjobs.node.admission import Admission
from fleetjobs.node.announcer import Announcer
from fleetjobs.node.inline import InlineActor
from fleetjobs.node.receiver import Receiver
from fleetjobs.policy import read_policy
from fleetjobs.registry import Registry
from fleetjobs.signing import COORDINATOR, SERVER, SigningKey, digest, unseal
from fleetjobs.spool.attempts import RunKey
from fleetjobs.spool.seen import Seen
from fleetjobs.spool.spool import Spool
from fleetjobs.states import Reason, State
from fleetjobs.targets import Target

NOW = datetime(2026, 11, 21, 4, 0, tzinfo=UTC)
JOB = JobId("019ab000-0000-7000-8000-000000000001")
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

    def letter(
        self,
        action: str = "work",
        *,
        data: dict[str, Any] | None = None,
        caller: str = "ada",
        signer: str = "account:ada",
        deliverer: str = COORDINATOR,
        node: str = "web1",
        attempt: int = 1,
        issued_at: datetime = NOW,
        start_before: datetime | None = None,
        agent: str = "probe",
        change: Callable[[str], str] = str,
    ) -> bytes:
        request = Request(
            id=JOB,
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
            job=JOB,
            node=node,
            attempt=attempt,
            request=digest(sealed_request),
            issued_at=issued_at,
            start_before=start_before,
        )
        return make_parcel(
            delivery=delivery,
            sealed_delivery=self.keys[deliverer].seal(encode(delivery)),
            sealed_request=change(sealed_request),
            task=f"{agent}.{action}",
        ).body


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
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
    receiver = Receiver(
        node=NodeId("web1"),
        admission=Admission(
            node=NodeId("web1"),
            keys=lambda: trusted,
            policy=lambda: policy,
            registry=registry,
            facts=dict,
            classes=frozenset,
        ),
        signer=keys["node:web1"],
        spool=spool,
        seen=Seen(tmp_path / "seen", clock),
        inline=InlineActor(NodeId("web1"), tmp_path / "node.json", clock),
        send=sent.append,
        wake_launcher=lambda: None,
        announcer=Announcer(),
        clock=clock,
    )
    return Bench(receiver, spool, keys, marks, sent)


def test_a_good_letter_lies_on_disk_before_it_is_acknowledged(bench: Bench) -> None:
    on_disk: list[bool] = []
    key = RunKey(JOB, 1)

    bench.receiver.receive(
        bench.letter(), lambda: on_disk.append(bench.spool.find(key) is not None)
    )

    assert on_disk == [True]
    assert bench.sent == []


def test_an_inline_action_is_answered_at_once(bench: Bench) -> None:
    bench.receive(bench.letter("look"))

    reply = bench.only()
    assert isinstance(reply, Reply)
    assert (reply.state, reply.statuscode, reply.data) == (State.SUCCEEDED, 0, {"word": "abc"})
    assert bench.acknowledged == 1
    assert bench.spool.runs() == []


@pytest.mark.spec("I3")
def test_an_inline_action_is_acted_on_once(bench: Bench) -> None:
    """The second time its kept reply is sent again; after a restart, that it was interrupted."""
    letter = bench.letter("look")
    bench.receive(letter)
    bench.receive(letter)
    bench.receiver.recent.clear()
    bench.receive(letter)

    first, again, lost = bench.documents()
    assert first == again
    assert (lost.state, lost.reason) == (State.FAILED, Reason.INTERRUPTED)
    assert bench.marks.read_text(encoding="utf-8") == "abc\n"


@pytest.mark.spec("I3")
def test_a_letter_that_comes_twice_makes_one_run(bench: Bench) -> None:
    """The second time says how far the run has come."""
    letter = bench.letter()
    bench.receive(letter)
    bench.receive(letter)

    assert len(bench.spool.runs()) == 1
    assert bench.only().stage is Stage.ACCEPTED
    assert bench.acknowledged == 2


def test_a_finished_run_is_answered_from_its_kept_reply(bench: Bench) -> None:
    letter = bench.letter()
    bench.receive(letter)
    bench.spool.put_reply(RunKey(JOB, 1), Stage.FINISHED, "the.sealed.reply")

    bench.receive(letter)

    assert bench.sent == ["the.sealed.reply"]


@pytest.mark.spec("I5")
@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"deliverer": "account:ada"}, "unauthentic"),
        ({"deliverer": "node:web1"}, "unauthentic"),
        ({"signer": "account:eve"}, "unauthentic"),
        ({"signer": "forged:ada"}, "unauthentic"),
        ({"signer": "account:bob"}, "unauthentic"),
        ({"signer": "node:web1"}, "unauthentic"),
        ({"node": "web2"}, "misaddressed"),
        ({"change": lambda sealed: sealed[:-4] + "AAAA"}, "misaddressed"),
        ({"issued_at": NOW + timedelta(hours=1)}, "stale"),
    ],
)
def test_what_cannot_be_believed_is_refused_in_writing(
    bench: Bench, wrong: dict[str, Any], code: str
) -> None:
    bench.receive(bench.letter("look", **wrong))

    refusal = bench.only()
    assert isinstance(refusal, Refusal)
    assert refusal.code == code
    assert bench.acknowledged == 1
    assert not bench.marks.exists()
    assert bench.spool.runs() == []


@pytest.mark.spec("I5")
def test_a_request_cannot_be_put_beside_another_delivery(bench: Bench) -> None:
    """The delivery of a harmless query, with the request for something else."""
    harmless, other = json.loads(bench.letter("look")), json.loads(bench.letter("work"))
    harmless[1]["request"] = other[1]["request"]

    bench.receive(json.dumps(harmless).encode())

    assert bench.only().code == "misaddressed"
    assert bench.spool.runs() == []


@pytest.mark.parametrize("body", [b"", b"\xff\x00", b"{}", b"[" * 50_000, b"[[],{},{}]"])
def test_rubbish_is_refused_in_writing(bench: Bench, body: bytes) -> None:
    bench.receive(body)

    assert bench.only().code == "invalid_document"
    assert bench.acknowledged == 1


@pytest.mark.parametrize(
    ("letter", "statuscode", "reason", "state"),
    [
        ({"agent": "nothing"}, 2, Reason.UNKNOWN_ACTION, State.FAILED),
        ({"action": "nothing"}, 2, Reason.UNKNOWN_ACTION, State.FAILED),
        ({"data": {}}, 3, Reason.INVALID, State.FAILED),
        ({"data": {"word": 7}}, 4, Reason.INVALID, State.FAILED),
        ({"data": {"word": "toolong"}}, 4, Reason.INVALID, State.FAILED),
        ({"data": {"word": "a;b"}}, 4, Reason.INVALID, State.FAILED),
        ({"data": {"word": "abc", "more": 1}}, 4, Reason.INVALID, State.FAILED),
        ({"action": "forbidden"}, 1, Reason.DENIED, State.FAILED),
        ({"caller": "bob", "signer": "account:bob"}, 1, Reason.DENIED, State.FAILED),
        ({"start_before": NOW - timedelta(seconds=1)}, 1, Reason.START_BEFORE, State.EXPIRED),
    ],
)
def test_what_must_not_run_ends_with_a_reply_that_says_why(
    bench: Bench, letter: dict[str, Any], statuscode: int, reason: Reason, state: State
) -> None:
    bench.receive(bench.letter(**letter))

    reply = bench.only()
    assert isinstance(reply, Reply)
    assert (reply.statuscode, reply.reason, reply.state) == (statuscode, reason, state)
    assert reply.statusmsg
    assert bench.acknowledged == 1
    assert bench.spool.runs() == []


def test_the_server_may_speak_for_callers_without_a_key(bench: Bench) -> None:
    bench.receive(bench.letter("look", signer=SERVER))

    assert bench.only().state is State.SUCCEEDED


@pytest.mark.spec("F5")
def test_without_room_nothing_is_acknowledged(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise SpoolFull("no space left on device")

    monkeypatch.setattr(bench.spool, "add", full)

    with pytest.raises(SpoolFull):
        bench.receive(bench.letter())

    assert bench.acknowledged == 0
