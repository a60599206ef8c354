"""Deliveries that come together: each is taken, refused or answered as if it had come alone."""

import pytest

from fleetjobs.documents import decode
from fleetjobs.errors import SpoolFull
from fleetjobs.messages import Delivery, Refusal, Replies, Reply, Stage
from fleetjobs.signing import peek
from fleetjobs.spool.attempts import RunKey
from fleetjobs.states import Reason, State
from tests.makers import new_id
from tests.reception import JOB, Bench

OTHER, THIRD = new_id(), new_id()


def replies(bench: Bench) -> list[Reply]:
    """All that the node has replied, however it travelled."""
    found: list[Reply] = []
    for document in bench.documents():
        found += document.replies if isinstance(document, Replies) else [document]
    return found


def test_what_is_acted_on_at_once_is_answered_together(bench: Bench) -> None:
    one, other = bench.letter("look"), bench.letter("look", job=OTHER, data={"word": "b"})

    bench.receive(bench.together(one, other))

    told = bench.only()
    assert isinstance(told, Replies)
    assert [(reply.job, reply.data) for reply in told.replies] == [
        (JOB, {"word": "abc"}),
        (OTHER, {"word": "b"}),
    ]
    assert bench.acknowledged == 1


@pytest.mark.spec("I3")
def test_what_comes_again_together_is_acted_on_once(bench: Bench) -> None:
    """And what was not there the first time is done."""
    one, other = bench.letter("look"), bench.letter("look", job=OTHER)
    bench.receive(bench.together(one))

    bench.receive(bench.together(one, other))

    assert [reply.job for reply in replies(bench)] == [JOB, JOB, OTHER]
    assert {reply.state for reply in replies(bench)} == {State.SUCCEEDED}
    assert bench.marks.read_text(encoding="utf-8") == "abc\nabc\n"


def test_each_is_kept_in_a_directory_of_its_own_and_all_before_the_message_is_forgotten(
    bench: Bench,
) -> None:
    on_disk: list[int] = []
    letters = [bench.letter(job=job) for job in (JOB, OTHER)]

    bench.receiver.receive(
        bench.together(*letters), lambda: on_disk.append(len(bench.spool.runs()))
    )

    assert on_disk == [2]
    for run in bench.spool.runs():
        assert decode(Delivery, peek(run.delivery())).job == run.key.job
    assert bench.sent == []


def test_one_that_must_not_run_harms_none_of_the_others(bench: Bench) -> None:
    denied = bench.letter("forbidden", job=OTHER)

    bench.receive(bench.together(denied, bench.letter("look"), bench.letter(job=THIRD)))

    assert [(reply.job, reply.state, reply.reason) for reply in replies(bench)] == [
        (OTHER, State.FAILED, Reason.DENIED),
        (JOB, State.SUCCEEDED, None),
    ]
    assert [run.key.job for run in bench.spool.runs()] == [THIRD]


@pytest.mark.spec("G8", "T10")
def test_one_that_cannot_be_believed_is_refused_by_its_name(bench: Bench) -> None:
    """For another node, or with a request that another key signed or that is not there."""
    alien = bench.letter("look", job=OTHER, node="web2")
    forged = bench.letter("look", job=THIRD, signer="forged:ada")

    bench.receive(bench.together(alien, forged, bench.letter("look")))

    misaddressed, unauthentic, reply = bench.documents()
    assert isinstance(misaddressed, Refusal)
    assert isinstance(unauthentic, Refusal)
    assert (misaddressed.code, misaddressed.task) == ("misaddressed", f"{OTHER}.web2.1")
    assert (unauthentic.code, unauthentic.task) == ("unauthentic", f"{THIRD}.web1.1")
    assert (reply.job, reply.state) == (JOB, State.SUCCEEDED)


@pytest.mark.spec("G8")
@pytest.mark.parametrize("deliverer", ["account:ada", "account:eve", "node:web1"])
def test_only_the_coordinator_puts_deliveries_together(bench: Bench, deliverer: str) -> None:
    bench.receive(bench.together(bench.letter("look"), bench.letter(), deliverer=deliverer))

    assert bench.only().code == "unauthentic"
    assert bench.spool.runs() == []
    assert not bench.marks.exists()


def test_without_room_the_message_stays_and_what_was_done_is_told(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes again: what was done is answered again, what found no room is kept."""
    letters = bench.together(bench.letter("look"), bench.letter(job=OTHER))

    def no_room(*_: object, **__: object) -> None:
        raise SpoolFull("no room")

    with monkeypatch.context() as patch:
        patch.setattr(type(bench.spool), "add", no_room)
        with pytest.raises(SpoolFull):
            bench.receive(letters)
    assert bench.acknowledged == 0
    bench.receive(letters)

    assert [(reply.job, reply.stage) for reply in replies(bench)] == [(JOB, Stage.FINISHED)] * 2
    assert [run.key for run in bench.spool.runs()] == [RunKey(OTHER, 1)]
    assert bench.marks.read_text(encoding="utf-8") == "abc\n"
