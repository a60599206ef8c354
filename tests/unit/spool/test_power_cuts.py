"""The power goes: what the spool promised to keep is there, though nothing else is."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fleetjobs.messages import Stage, Verb
from fleetjobs.names import JobId
from fleetjobs.spool import seen as seen_module
from fleetjobs.spool.attempts import Holder, RunDirectory, RunKey
from fleetjobs.spool.fences import Fence
from fleetjobs.spool.seen import Seen
from fleetjobs.spool.spool import Spool
from tests.power import Disk

AT = datetime(2026, 12, 1, 4, 0, tzinfo=UTC)
US = Holder(7, 70, "this boot")
pytestmark = pytest.mark.spec("F4", "S0-11", "I2", "I3")


def key(number: int = 1, attempt: int = 1) -> RunKey:
    return RunKey(JobId(f"0190a1b2-0000-7000-8000-{number:012}"), attempt)


def add(spool: Spool, number: int = 1) -> RunDirectory:
    return spool.add(key(number), delivery="d", request="r", accepted_at=AT)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    root = tmp_path / "disk"
    root.mkdir()
    disk = Disk(root)
    monkeypatch.setattr("os.fsync", disk.fsync)
    return disk


@pytest.fixture
def spool(disk: Disk) -> Spool:
    return Spool(disk.root / "state" / "spool")


@pytest.fixture
def after(disk: Disk, tmp_path: Path) -> Callable[[], Spool]:
    """The spool as it is found when the power is back."""
    return lambda: Spool(disk.cut(tmp_path / "after") / "state" / "spool")


def test_a_run_that_was_accepted_is_there(spool: Spool, after: Callable[[], Spool]) -> None:
    """It was acknowledged to the broker, so nobody else has it."""
    add(spool)

    [run] = after().runs()

    assert (run.key, run.delivery(), run.request()) == (key(), "d", "r")
    assert run.holder() is None


def test_a_run_that_was_taken_is_never_taken_again(
    spool: Spool, after: Callable[[], Spool]
) -> None:
    add(spool).claim(US)

    [run] = after().runs()

    assert not run.claim(US)


def test_a_run_that_was_taken_over_is_still_taken(spool: Spool, after: Callable[[], Spool]) -> None:
    run = add(spool)
    run.claim(US)
    run.take_over(Holder(8, 80, "this boot"))

    [run] = after().runs()

    assert run.holder() is not None
    assert not run.claim(US)


def test_a_final_reply_is_there_and_waits_to_be_sent(
    spool: Spool, after: Callable[[], Spool]
) -> None:
    run = add(spool)
    run.claim(US)
    spool.put_reply(run.key, Stage.FINISHED, "sealed")

    found = after()

    assert [entry.sealed() for entry in found.outbox()] == ["sealed"]
    assert found.unsettled() == []


def test_a_reply_that_was_confirmed_is_there_in_one_place_or_the_other(
    spool: Spool, after: Callable[[], Spool]
) -> None:
    """It is sent again rather than forgotten."""
    for number in (1, 2):
        run = add(spool, number)
        spool.put_reply(run.key, Stage.FINISHED, f"sealed{number}")
        for entry in spool.outbox():
            spool.confirm(entry)

    found = after()

    assert {run.final() for run in found.runs()} == {"sealed1", "sealed2"}


@pytest.mark.parametrize("verb", list(Verb))
def test_an_order_is_there_even_of_what_never_came(
    spool: Spool, after: Callable[[], Spool], verb: Verb
) -> None:
    fence = Fence(generation=3, verb=verb, at=AT)
    spool.fences.put(key(), fence)

    assert after().fences.find(key()) == fence


def test_what_was_given_back_does_not_come_back(spool: Spool, after: Callable[[], Spool]) -> None:
    """Its fence bars it whether or not the directory is found again."""
    run = add(spool)
    spool.fences.put(run.key, Fence(generation=1, verb=Verb.WITHDRAW, at=AT))
    spool.take_back(run)
    spool.remove(run)

    found = after()

    assert found.find(run.key) is None
    assert found.fences.find(run.key) is not None


@pytest.mark.parametrize("worn_at", [1, 3, 50_000])
def test_what_was_removed_is_remembered_though_the_journal_was_renewed(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worn_at: int
) -> None:
    """Else it would be begun anew when it is delivered again."""
    monkeypatch.setattr(seen_module, "WORN_AT", worn_at)
    gone = Seen(disk.root / "gone", lambda: AT, is_durable=True)
    for number in range(10):
        gone.add(key(number), until=AT + timedelta(days=number % 2))

    found = Seen(disk.cut(tmp_path / "after") / "gone", lambda: AT, is_durable=True)

    assert all(key(number) in found for number in range(1, 10, 2))
