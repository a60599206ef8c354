"""References in a signed request: the coordinator's values take their place, and nothing else's."""

from pathlib import Path
from typing import Any

import pytest

from fleetjobs.documents import decode
from fleetjobs.messages import Delivery, Stage
from fleetjobs.node.documents import as_meant
from fleetjobs.requests import Request
from fleetjobs.signing import SERVER, peek
from fleetjobs.spool.attempts import RunKey
from fleetjobs.states import Reason, State, Status
from fleetjobs.targets import Target
from tests.reception import JOB, Bench, make_bench

WORD = {"word": "${legs.a.data.word}"}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A receiver on an empty disk."""
    return make_bench(tmp_path)


def letter(bench: Bench, action: str, fills: dict[str, Any] | None, **more: Any) -> bytes:
    """A leg's request, sealed by the server, with the coordinator's values."""
    return bench.letter(action, signer=SERVER, fills=fills, **{"data": WORD, **more})


def test_an_inline_action_gets_the_value(bench: Bench) -> None:
    bench.receive(letter(bench, "look", {"legs.a.data.word": "abc"}))

    reply = bench.only()
    assert (reply.state, reply.data) == (State.SUCCEEDED, {"word": "abc"})


def test_what_is_kept_on_disk_is_meant_the_same_after_a_restart(bench: Bench) -> None:
    bench.receive(letter(bench, "work", {"legs.a.data.word": "abc"}))

    run = bench.spool.find(RunKey(JOB, 1))
    assert run is not None
    request = decode(Request, peek(run.request()))
    delivery = decode(Delivery, peek(run.delivery()))
    assert request.data == WORD  # as it was signed
    assert as_meant(request, delivery).data == {"word": "abc"}


@pytest.mark.parametrize(
    ("value", "status"),
    [("ABC", Status.INVALID_DATA), ("abcdef", Status.INVALID_DATA), (5, Status.INVALID_DATA)],
)
def test_a_value_that_the_action_does_not_take_is_refused(
    bench: Bench, value: Any, status: Status
) -> None:
    bench.receive(letter(bench, "work", {"legs.a.data.word": value}))

    reply = bench.only()
    assert (reply.stage, reply.state, reply.statuscode) == (Stage.FINISHED, State.FAILED, status)
    assert bench.spool.runs() == []


def test_a_reference_without_a_value_is_refused_by_its_name(bench: Bench) -> None:
    bench.receive(letter(bench, "work", {"legs.b.data.word": "abc"}))

    reply = bench.only()
    assert (reply.reason, reply.statuscode) == (Reason.INVALID, Status.MISSING_DATA)
    assert "${legs.a.data.word}" in reply.statusmsg


def test_values_change_nothing_where_the_caller_signed_no_reference(bench: Bench) -> None:
    fills = {"legs.a.data.word": "evil", "word": "evil", "abc": "evil"}

    bench.receive(letter(bench, "look", fills, data={"word": "abc"}))

    assert bench.only().data == {"word": "abc"}


def test_without_values_nothing_is_a_reference(bench: Bench) -> None:
    """A job that is no leg means its data as they are, dollars and braces and all."""
    bench.receive(letter(bench, "look", None))

    assert bench.only().reason in {Reason.INVALID, Reason.USER_ERROR}


def test_two_dollars_stand_for_one(bench: Bench) -> None:
    request = Request(
        id=JOB,
        org="default",
        caller="ada",
        agent="probe",
        action="work",
        data={"word": "$${x}", "list": ["${legs.a.data.n}", 1]},
        target=Target(),
        created_at=bench.receiver.clock(),
    )
    delivery = Delivery(
        job=JOB,
        node="web1",
        attempt=1,
        request="",
        issued_at=bench.receiver.clock(),
        fills={"legs.a.data.n": 7},
    )

    assert as_meant(request, delivery).data == {"word": "${x}", "list": [7, 1]}
