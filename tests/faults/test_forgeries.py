"""The broker is in an attacker's hands: nothing begins unasked, and no lie becomes a result."""

import os
import pickle
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from fleetjobs.errors import Fault
from fleetjobs.messages import Reply, Stage, encode
from fleetjobs.signing import COORDINATOR, SERVER, SigningKey, account_key_id, digest, node_key_id
from fleetjobs.states import Reason, State
from tests.faults.caller import Caller
from tests.faults.checker import violations
from tests.faults.fleet import Fleet
from tests.faults.forger import Forger, Letter, alter, unsigned
from tests.faults.oracle import read_marks
from tests.processes import wait_for

NODE, OTHER = "node1", "node2"
Forgery = Callable[[Letter], tuple[str, str]]  #: gives sealed delivery and request


def signed_by(key_id: str, *, request: bool = False) -> Forgery:
    """By a stranger who claims to be somebody."""
    stranger = SigningKey.generate(key_id)

    def forge(letter: Letter) -> tuple[str, str]:
        sealed = letter.seal()[1]
        if request:
            sealed = stranger.seal(encode(letter.request))
            return letter.change_delivery(request=digest(sealed)).seal()[0], sealed
        return stranger.seal(
            encode(letter.change_delivery(request=digest(sealed)).delivery)
        ), sealed

    return forge


def unsigned_delivery(letter: Letter) -> tuple[str, str]:
    delivery, request = letter.seal()
    return unsigned(delivery), request


def unsigned_request(letter: Letter) -> tuple[str, str]:
    request = unsigned(letter.seal()[1])
    return letter.change_delivery(request=digest(request)).seal()[0], request


def altered_delivery(letter: Letter) -> tuple[str, str]:
    delivery, request = letter.change_delivery(node=OTHER).seal()
    return alter(delivery, OTHER, NODE), request


def altered_request(letter: Letter) -> tuple[str, str]:
    request = alter(letter.change_request(action="echo").seal()[1], '"echo"', '"mark"')
    return letter.change_delivery(request=digest(request)).seal()[0], request


def another_request(letter: Letter) -> tuple[str, str]:
    delivery, _ = letter.change_request(action="echo").seal()
    return delivery, letter.seal()[1]


def another_job(letter: Letter) -> tuple[str, str]:
    first = letter.request.id[:-4] + "0000"
    return letter.change_delivery(job=first).seal()


def another_node(letter: Letter) -> tuple[str, str]:
    return letter.change_delivery(node=OTHER).seal()


def another_caller(letter: Letter) -> tuple[str, str]:
    return letter.change_request(caller="somebody").seal()


def from_the_future(letter: Letter) -> tuple[str, str]:
    return letter.change_delivery(issued_at=datetime.now(UTC) + timedelta(hours=1)).seal()


UNBELIEVABLE: dict[str, Forgery] = {
    "delivery by a stranger": signed_by(COORDINATOR),
    "delivery by the server": signed_by(SERVER),
    "delivery by a node": signed_by(node_key_id(OTHER)),
    "request by a stranger": signed_by(account_key_id("admin"), request=True),
    "request by the coordinator": signed_by(COORDINATOR, request=True),
    **{
        forge.__name__.replace("_", " "): forge
        for forge in (
            unsigned_delivery,
            unsigned_request,
            altered_delivery,
            altered_request,
            another_request,
            another_job,
            another_node,
            another_caller,
            from_the_future,
        )
    },
}

RUBBISH = {
    "nothing": (b"", "application/json"),
    "no JSON": (b"\xff\x00rubbish", "application/json"),
    "other JSON": (b'{"delivery": 1}', "application/json"),
    "deep JSON": (b"[" * 100_000, "application/json"),
    "a pickle": (pickle.dumps(os.getcwd), "application/x-python-serialize"),
    "a strange type": (b"x", "text/x-strange"),
}


@pytest.mark.spec("G8", "F20", "I5")
def test_nothing_unbelievable_begins_and_each_is_on_record(fleet: Fleet, caller: Caller) -> None:
    forger = Forger(fleet)

    posted = {
        name: forger.post(NODE, *forge(forger.letter(NODE))) for name, forge in UNBELIEVABLE.items()
    }
    posted |= {name: forger.post_bytes(NODE, *rubbish) for name, rubbish in RUBBISH.items()}

    wait_for(lambda: not unrecorded(fleet, posted), within=20.0, every=0.2)
    assert violations(caller) == []


@pytest.mark.spec("G8", "F20", "I5")
def test_what_is_stale_or_denied_by_the_node_itself_does_not_begin(
    fleet: Fleet, caller: Caller
) -> None:
    """Both come by the right keys; the queue is in order, so they are behind us at the end."""
    forger = Forger(fleet)
    stranger = SigningKey.generate(account_key_id("stranger"))
    trusted = fleet.premises.root / "trust" / f"{stranger.id}.pub"
    trusted.write_text(stranger.verify_key.text)
    letter = forger.letter(NODE)
    past = datetime.now(UTC) - timedelta(seconds=1)

    forger.post(NODE, *letter.change_delivery(start_before=past).seal())
    denied = letter.change_request(caller="stranger")
    sealed = stranger.seal(encode(denied.request))
    forger.post(NODE, denied.change_delivery(request=digest(sealed)).seal()[0], sealed)
    caller.wait(caller.submit(NODE))
    trusted.unlink()

    assert {mark.attempt.job for mark in read_marks(fleet.marks)} == set(caller.calls)
    assert violations(caller) == []


@pytest.mark.spec("F19", "I5")
def test_rights_that_are_revoked_after_acceptance_are_gone(fleet: Fleet, caller: Caller) -> None:
    """The node asks its own policy when the request arrives, not when it was made."""
    policy = fleet.premises.root / "policy.toml"
    before = policy.read_text()
    fleet.worker(NODE).kill()
    call = caller.submit(NODE)

    policy.write_text(before.replace('agents = ["*"]', 'agents = ["rpcutil"]'))
    fleet.worker(NODE).start()
    caller.wait(call)
    policy.write_text(before)

    assert [run["reason"] for run in caller.runs(call)] == [Reason.DENIED]
    assert violations(caller) == []


@pytest.mark.spec("F10", "I3")
@pytest.mark.parametrize("is_down", [False, True])
def test_a_message_delivered_many_times_begins_once(
    fleet: Fleet, caller: Caller, *, is_down: bool
) -> None:
    """Before the first is on disk, or long after it has ended."""
    if is_down:
        fleet.worker(NODE).kill()
    call = caller.submit(NODE)
    if not is_down:
        caller.wait(call)

    Forger(fleet).post_again(NODE, call.job, call.sealed, times=20)
    fleet.heal()
    caller.wait(call)
    caller.wait(caller.submit(NODE))

    assert violations(caller) == []


@pytest.mark.spec("F20", "I1", "I2")
def test_no_reply_that_lies_becomes_a_result(fleet: Fleet, caller: Caller) -> None:
    forger = Forger(fleet)
    call = caller.submit(NODE, seconds=1.0)
    lie = Reply(
        job=call.job,
        node=NODE,
        attempt=1,
        stage=Stage.FINISHED,
        state=State.FAILED,
        reason=Reason.ABORTED,
    )
    stranger = SigningKey.generate(node_key_id(NODE))

    forger.reply(
        b"", b"\xff\xfe", "a.b.c", b"[" * 100_000, unsigned(stranger.seal(encode(lie))),
        stranger.seal(encode(lie)), forger.node_key(OTHER).seal(encode(lie)),
        forger.letter(NODE).coordinator_key.seal(encode(lie)),
        forger.node_key(NODE).seal(b"{}"), forger.node_key(NODE).seal(b"\xff"),
    )  # fmt: skip
    caller.wait(call)

    assert caller.states(call) == {State.SUCCEEDED}
    assert violations(caller) == []


@pytest.mark.spec("F10", "F20", "I1", "I2")
def test_a_result_stands_whatever_comes_after_it(fleet: Fleet, caller: Caller) -> None:
    """The true reply many times more, and another one by the node's own key."""
    forger = Forger(fleet)
    call = caller.submit(NODE)
    caller.wait(call)
    before = caller.runs(call)
    run = fleet.run_directory(call.job, NODE)
    final = run.final() if run else None
    assert final is not None
    other = Reply(job=call.job, node=NODE, attempt=1, stage=Stage.FINISHED, state=State.FAILED)

    forger.reply(*[final] * 50, forger.node_key(NODE).seal(encode(other)), final)
    caller.wait(caller.submit(NODE))

    assert caller.runs(call) == before
    assert violations(caller) == []


def unrecorded(fleet: Fleet, posted: dict[str, str]) -> list[str]:
    """What no node said that it refused."""
    try:
        query = [("kind", "node.refused"), ("limit", 500)]
        events = list(fleet.client().pages("events", query=query))
    except Fault:
        return list(posted)
    refused = {event["detail"]["sha256"] for event in events}
    return [name for name, sha256 in posted.items() if sha256 not in refused]
