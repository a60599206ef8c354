"""The receiver takes what is signed, addressed, fresh, new, valid and allowed; no more."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fleetjobs.broker.tasks import make_order_parcel, make_parcel, make_question_parcel
from fleetjobs.errors import SpoolFull
from fleetjobs.jobs import JobId, NodeId
from fleetjobs.messages import (
    Asked,
    Delivery,
    Order,
    Question,
    Refusal,
    Reply,
    Request,
    Stage,
    Verb,
    decode_from_node,
    encode,
)
from fleetjobs.node.admission import Admission
from fleetjobs.node.announcer import Announcer
from fleetjobs.node.inline import InlineActor
from fleetjobs.node.orders import Orders
from fleetjobs.node.questions import Questions
from fleetjobs.node.receiver import Receiver
from fleetjobs.policy import read_policy
from fleetjobs.registry import Registry
from fleetjobs.signing import COORDINATOR, SERVER, SigningKey, digest, unseal
from fleetjobs.spool.attempts import Holder, RunKey
from fleetjobs.spool.seen import Seen
from fleetjobs.spool.spool import Spool
from fleetjobs.states import Reason, State
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
        generation: int = 0,
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
            generation=generation,
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
    return Bench(receiver, spool, keys, marks, reconsidered, sent)


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


@pytest.mark.spec("S0-05")
@pytest.mark.parametrize("verb", list(Verb))
def test_an_order_that_comes_before_its_delivery_keeps_it_from_starting(
    bench: Bench, verb: Verb
) -> None:
    """A tombstone; the delivery is told what the order was told."""
    bench.receive(bench.order(verb))
    bench.receive(bench.letter())
    bench.receive(bench.letter("look"))

    told, again, inline = bench.documents()
    assert told == again == inline
    assert told.generation == 1
    assert told.stage is (Stage.FINISHED if verb is Verb.STOP else Stage.WITHDRAWN)
    assert bench.spool.runs() == []
    assert not bench.marks.exists()
    assert bench.acknowledged == 3


@pytest.mark.spec("I9")
def test_an_order_is_on_disk_before_it_is_acknowledged(bench: Bench) -> None:
    bench.receive(bench.letter())
    on_disk: list[bool] = []

    bench.receiver.receive(
        bench.order(Verb.STOP),
        lambda: on_disk.append(bench.spool.find(KEY).is_settled),  # type: ignore[union-attr]
    )

    assert on_disk == [True]
    assert bench.only().state is State.CANCELLED
    assert bench.reconsidered == [KEY]


def test_an_order_that_comes_twice_changes_nothing_and_is_answered_again(bench: Bench) -> None:
    bench.receive(bench.letter())

    bench.receive(bench.order(Verb.STOP))
    bench.receive(bench.order(Verb.STOP))

    first, again = bench.documents()
    assert first == again
    assert len(bench.spool.outbox()) == 1


def test_a_higher_generation_takes_the_place_of_what_was_withdrawn(bench: Bench) -> None:
    bench.receive(bench.letter(data={"word": "old"}))
    bench.receive(bench.order(Verb.WITHDRAW))
    bench.receive(bench.letter(data={"word": "new"}, generation=2))
    bench.receive(bench.order(Verb.WITHDRAW))
    bench.receive(bench.letter(data={"word": "old"}))

    run = bench.spool.find(KEY)
    assert run is not None
    assert run.accepted.generation == 2
    assert run.holder() is None
    told = [(reply.stage, reply.generation) for reply in bench.documents()]
    assert told == [(Stage.WITHDRAWN, 1), (Stage.ACCEPTED, 2), (Stage.ACCEPTED, 2)]


def test_a_stop_is_never_taken_back(bench: Bench) -> None:
    bench.receive(bench.order(Verb.STOP))
    bench.receive(bench.order(Verb.WITHDRAW, 2))
    bench.receive(bench.letter(generation=3))

    assert [reply.state for reply in bench.documents()] == [State.CANCELLED] * 3
    assert bench.spool.runs() == []


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"deliverer": "account:ada"}, "unauthentic"),
        ({"deliverer": "node:web1"}, "unauthentic"),
        ({"node": "web2"}, "misaddressed"),
        ({"issued_at": NOW + timedelta(hours=1)}, "stale"),
    ],
)
@pytest.mark.spec("I5")
def test_an_order_that_cannot_be_believed_is_refused(
    bench: Bench, wrong: dict[str, Any], code: str
) -> None:
    bench.receive(bench.letter())

    bench.receive(bench.order(Verb.STOP, **wrong))

    assert bench.only().code == code
    assert bench.spool.find(KEY).holder() is None  # type: ignore[union-attr]
    assert bench.spool.fences.find(KEY) is None


def test_the_next_attempt_ends_the_last_one_first(bench: Bench) -> None:
    bench.receive(bench.letter())
    bench.receive(bench.letter(attempt=2))

    first, second = bench.spool.attempts(JOB)
    assert first.is_settled
    assert not second.is_settled
    assert bench.reconsidered == [KEY]


@pytest.mark.spec("I3")
def test_an_attempt_lower_than_the_highest_is_refused(bench: Bench) -> None:
    """With its kept answer if it has one."""
    bench.receive(bench.letter(attempt=2))
    bench.spool.put_reply(RunKey(JOB, 2), Stage.FINISHED, "kept")
    bench.receive(bench.letter(attempt=3))

    bench.receive(bench.letter(attempt=2))
    bench.receive(bench.letter(attempt=1))

    assert bench.sent.pop(0) == "kept"
    assert bench.only().state is State.CANCELLED
    assert [run.key.attempt for run in bench.spool.attempts(JOB)] == [2, 3]


@pytest.mark.spec("I3")
def test_what_was_removed_from_the_disk_is_not_begun_again(bench: Bench) -> None:
    bench.receiver.gone.add(KEY)

    bench.receive(bench.letter())

    assert bench.only().reason is Reason.INTERRUPTED
    assert bench.spool.runs() == []


def test_a_task_is_revoked_by_the_name_that_celery_knows(bench: Bench) -> None:
    bench.receive(bench.letter())

    said = bench.receiver.revoke(f"{JOB}.web1.1", terminate=False)

    assert said.endswith("is ended")
    assert bench.spool.find(KEY).is_settled  # type: ignore[union-attr]
    for task in (f"{JOB}.web2.1", f"{JOB}.web1.1", f"{JOB}.web1.7", "rubbish", ""):
        assert "not known" in bench.receiver.revoke(task, terminate=True)


def test_revoke_without_terminate_leaves_what_has_begun(bench: Bench) -> None:
    bench.receive(bench.letter())
    run = bench.spool.find(KEY)
    assert run is not None
    run.claim(Holder(1, 1, "boot"))

    assert "has begun" in bench.receiver.revoke(f"{JOB}.web1.1", terminate=False)
    assert bench.spool.fences.find(KEY) is None


def test_runs_are_told_from_the_disk(bench: Bench) -> None:
    bench.receive(bench.letter())

    bench.receive(bench.question(Asked.RUNS, job=JOB))

    answer = bench.only()
    assert answer.question == QUESTION
    (report,) = answer.runs
    assert (report.task, report.stage, report.attempt) == ("probe.work", Stage.ACCEPTED, 1)


def test_a_log_is_read_while_it_is_written(bench: Bench) -> None:
    bench.receive(bench.letter())
    run = bench.spool.find(KEY)
    assert run is not None
    (run.path / "stdout").write_bytes(b"0123456789")

    bench.receive(bench.question(Asked.LOG, job=JOB, offset=4, limit=3))
    bench.spool.put_reply(KEY, Stage.FINISHED, "done")
    bench.receive(bench.question(Asked.LOG, job=JOB, stream="stderr", attempt=1))
    bench.receive(bench.question(Asked.LOG, job=JOB, attempt=9))

    live, over, unknown = bench.documents()
    assert (live.log.content, live.log.size, live.log.is_over) == (b"456", 10, False)
    assert (over.log.content, over.log.size, over.log.is_over) == (b"", 0, True)
    assert unknown.log is None
    assert "no attempt 9" in unknown.error


def test_a_question_that_nobody_waits_for_any_more_is_dropped(bench: Bench) -> None:
    bench.receive(bench.question(Asked.RUNS, expires_at=NOW - timedelta(seconds=1)))

    assert bench.sent == []
    assert bench.acknowledged == 1
