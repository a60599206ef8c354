"""The receiver takes what is signed, addressed, fresh, new, valid and allowed; no more."""

import dataclasses
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fleetjobs.errors import SpoolFull
from fleetjobs.messages import Refusal, Reply, Stage
from fleetjobs.node.recent import Recent
from fleetjobs.signing import SERVER, SigningKey
from fleetjobs.spool.attempts import RunKey
from fleetjobs.states import Reason, State
from tests.reception import JOB, NOW, Bench


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


def test_an_inline_action_that_comes_ahead_of_its_time_waits_for_it_on_disk(bench: Bench) -> None:
    bench.receive(bench.letter("look", not_before=NOW + timedelta(minutes=30)))

    assert [run.key for run in bench.spool.runs()] == [RunKey(JOB, 1)]
    assert bench.sent == []
    assert not bench.marks.exists()


@pytest.mark.parametrize(
    ("word", "reason", "said"),
    [
        ("leave", Reason.EXIT_CODE, "left with 3"),
        ("next", Reason.NO_REPLY, "next"),
        ("data", Reason.EXCEPTION, "boom"),
    ],
)
def test_an_inline_action_that_goes_wrong_harms_nobody_else(
    bench: Bench, word: str, reason: Reason, said: str
) -> None:
    bench.receive(bench.letter("look", data={"word": word}))

    reply = bench.only()
    assert isinstance(reply, Reply)
    assert (reply.state, reply.reason) == (State.FAILED, reason)
    assert said in reply.statusmsg


ABSURD = """
from fleetjobs.agent import Agent, action

class Probe(Agent):
    @action
    def look(self, word):
        cycle = []
        cycle.append(cycle)
        self.reply["word"] = {value}
"""


@pytest.mark.parametrize(
    ("value", "reason", "said"),
    [
        ("object()", Reason.NO_REPLY, "unsupported"),
        ("cycle", Reason.NO_REPLY, "recursion"),
        ("2**70", Reason.NO_REPLY, "64 bits"),
        (r"'\udcff'", Reason.NO_REPLY, "surrogates"),
        ("'x' * 5_000_000", Reason.NO_REPLY, "longer than 4194304 bytes"),
        (r"open('/none\udcff')", Reason.EXCEPTION, r"/none\udcff"),
    ],
)
def test_an_inline_reply_that_nobody_can_be_told_is_a_failure(
    bench: Bench, tmp_path: Path, value: str, reason: Reason, said: str
) -> None:
    """It is judged as one in a file is, and the worker lives on."""
    text = ABSURD.format(value=value)
    (tmp_path / "agents" / "probe" / "probe.py").write_text(text, encoding="utf-8")

    bench.receive(bench.letter("look"))

    assert bench.acknowledged == 1
    reply = bench.only()
    assert (reply.state, reply.reason) == (State.FAILED, reason)
    assert said in reply.statusmsg


@pytest.mark.spec("I3")
def test_an_inline_action_is_acted_on_once(bench: Bench) -> None:
    """The second time its kept reply is sent again; after a restart, that it was interrupted."""
    letter = bench.letter("look")
    bench.receive(letter)
    bench.receive(letter)
    bench.receiver = dataclasses.replace(bench.receiver, recent=Recent())
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
    kept = bench.receiver.signer.seal(b"the reply")
    bench.spool.put_reply(RunKey(JOB, 1), Stage.FINISHED, kept)

    bench.receive(letter)

    assert bench.sent == [kept]


@pytest.mark.spec("F5", "G7")
def test_a_kept_reply_that_was_damaged_is_answered_as_an_end_that_can_be_believed(
    bench: Bench,
) -> None:
    """Else it would be rejected and asked for again, for ever."""
    letter = bench.letter()
    bench.receive(letter)
    bench.spool.put_reply(RunKey(JOB, 1), Stage.FINISHED, "the.damaged.reply")

    bench.receive(letter)

    assert (bench.only().state, bench.only().reason) == (State.FAILED, Reason.INTERRUPTED)


@pytest.mark.spec("F12")
@pytest.mark.spec("I3")
def test_an_attempt_that_was_told_of_and_is_not_here_is_never_begun(bench: Bench) -> None:
    """Another machine of the same name told of it, or this one has lost its disk."""
    bench.receive(bench.letter(known=True))
    bench.receive(bench.letter("look", known=True))

    reply, inline = bench.documents()
    assert (reply.state, reply.reason) == (State.FAILED, Reason.INTERRUPTED)
    assert inline.reason is Reason.INTERRUPTED
    assert bench.spool.runs() == []
    assert not bench.marks.exists()


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


def test_a_request_that_is_no_text_is_refused_in_writing(bench: Bench) -> None:
    """Half a surrogate pair is JSON and no UTF-8: it was no refusal and ended the worker."""
    body = json.loads(bench.letter())
    body[1]["request"] = "\ud800"

    bench.receive(json.dumps(body).encode())

    assert isinstance(bench.only(), Refusal)
    assert bench.acknowledged == 1


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


@pytest.mark.spec("F12", "G8", "I3")
def test_a_delivery_for_a_machine_of_our_name_with_another_key_is_refused(bench: Bench) -> None:
    """It is enrolled and we are not: nobody would believe what we say of it."""
    ours = bench.receiver.signer.verify_key.text

    bench.receive(bench.letter(key=SigningKey.generate("node:web1").verify_key.text))
    assert bench.only().code == "misaddressed"
    assert bench.spool.runs() == []
    bench.receive(bench.letter(key=ours))

    assert [run.key for run in bench.spool.runs()] == [RunKey(JOB, 1)]
