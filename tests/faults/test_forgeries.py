"""The broker is in an attacker's hands: nothing begins unasked, and no lie becomes a result."""

import json
import os
import pickle
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from uuid_utils import uuid7

from fleetjobs.client.profile import read_profile
from fleetjobs.client.transport import Transport
from fleetjobs.documents import encode
from fleetjobs.errors import Fault
from fleetjobs.messages import Reply, Stage
from fleetjobs.programs.premises import ORG
from fleetjobs.signing import COORDINATOR, SERVER, SigningKey, account_key_id, digest, node_key_id
from fleetjobs.states import Reason, State
from tests.faults.caller import Call, Caller
from tests.faults.checker import violations
from tests.faults.fleet import Fleet
from tests.faults.forger import Forger, Letter, alter, unsigned
from tests.faults.oracle import read_marks
from tests.faults.shares import ONE_STACK
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


@pytest.fixture
def policy(fleet: Fleet) -> Iterator[Path]:
    """The nodes' policy, which is as it was afterwards."""
    path = fleet.premises.root / "policy.toml"
    before = path.read_text()
    yield path
    path.write_text(before)


@ONE_STACK
@pytest.mark.spec("F19", "I5")
@pytest.mark.parametrize("how", ["narrowed", "broken"])
def test_a_policy_that_changes_after_acceptance_counts(
    fleet: Fleet, caller: Caller, policy: Path, how: str
) -> None:
    """The node asks its own policy when the request arrives, not when it was made."""
    before = policy.read_text()
    fleet.worker(NODE).kill()
    call = caller.submit(NODE)

    narrow = before.replace('agents = ["*"]', 'agents = ["rpcutil"]')
    policy.write_text(narrow if how == "narrowed" else narrow + "[[rules")
    fleet.worker(NODE).start()
    caller.wait(call)
    policy.write_text(before)

    (run,) = caller.runs(call)
    assert run["reason"] == Reason.DENIED
    assert ("denies everything" in run["statusmsg"]) == (how == "broken")
    assert violations(caller) == []


@ONE_STACK
@pytest.mark.spec("F19", "I5")
def test_what_an_account_asked_for_does_not_begin_without_its_right_or_by_its_old_key(
    fleet: Fleet, caller: Caller, policy: Path
) -> None:
    """The coordinator asks when it hands over; given back, the right counts again."""
    policy.write_text(policy.read_text().replace('callers = ["admin"]', 'callers = ["*"]'))
    anew = SigningKey.generate("account:anew").verify_key
    barred, outdated = People(fleet, f"bob-{uuid7()}"), People(fleet, f"carol-{uuid7()}")
    fleet.coordinator.kill()
    calls = {who: who.submit(caller) for who in (barred, outdated)}

    barred.change(disabled=True)
    outdated.change(verify_key=anew.text)
    fleet.coordinator.start()
    for call in calls.values():
        wait_for(lambda call=call: caller.states(call) == {State.PAUSED}, within=30.0, every=0.1)

    assert {run["reason"] for call in calls.values() for run in caller.runs(call)} == {"denied"}
    assert [caller.begun(call) for call in calls.values()] == [0, 0]
    barred.change(disabled=False)
    fleet.client().act(calls[barred].job, "resume", {})
    caller.cancel(calls[outdated])
    caller.wait(*calls.values())
    assert caller.states(calls[barred]) == {State.SUCCEEDED}
    assert [caller.begun(call) for call in calls.values()] == [1, 0]
    assert violations(caller) == []


class People:
    """An operator with a key and a token."""

    def __init__(self, fleet: Fleet, name: str) -> None:
        self.name, self._fleet = name, fleet
        self._key = SigningKey.generate(account_key_id(name))
        (fleet.premises.root / "trust" / f"{self._key.id}.pub").write_text(
            self._key.verify_key.text
        )
        key = self._key.verify_key.text
        self._tell("POST", "accounts", body={"name": name, "role": "operator", "verify_key": key})
        self._token = self._tell("POST", "tokens", body={"name": "test", "account": name})["token"]

    def change(self, **changes: Any) -> None:
        """Have an admin change the account."""
        self._tell("PATCH", "accounts", self.name, body=changes)

    def submit(self, caller: Caller) -> Call:
        """Ask for marks."""
        request = replace(caller.request(NODE), caller=self.name)
        sealed = self._key.seal(encode(request))
        profile = read_profile(self._fleet.premises.client)._replace(token=self._token)
        transport = Transport(profile)
        transport.post("jobs", body=sealed.encode(), content_type="application/jose")
        call = Call(request.id, (NODE,), sealed, accepted=True)
        caller.calls[call.job] = call
        return call

    def _tell(self, method: str, *path: str, body: dict[str, Any]) -> Any:
        acting = read_profile(self._fleet.premises.client).acting_in(ORG)
        return Transport(acting).send(method, *path, body=json.dumps(body).encode())


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
