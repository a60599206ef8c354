import os
from datetime import UTC, datetime
from errno import EMFILE
from pathlib import Path

import pytest

from fleetjobs.errors import SpoolFull
from fleetjobs.names import JobId
from fleetjobs.spool.attempts import NOBODY, Holder, Program, RunDirectory, RunKey
from fleetjobs.spool.durable import write_file
from fleetjobs.spool.spool import Spool

KEY = RunKey(JobId("0190a1b2-0000-7000-8000-000000000001"), 1)
AT = datetime(2026, 12, 1, 4, 0, tzinfo=UTC)
ONE, TWO = Holder(1, 10, "boot"), Holder(2, 20, "boot")


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return Spool(tmp_path).add(KEY, delivery="d", request="r", accepted_at=AT)


def test_an_attempt_is_claimed_once(run: RunDirectory) -> None:
    assert run.holder() is None

    assert run.claim(ONE)
    assert not run.claim(TWO)

    assert run.holder() == ONE
    assert sorted(os.listdir(run.path)) == ["accepted", "claim"]  # noqa: PTH208  names only


@pytest.mark.spec("I2", "I3", "F17")
@pytest.mark.parametrize("comes_anew", [False, True])
def test_what_is_being_removed_is_not_taken_though_its_claim_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, comes_anew: bool
) -> None:
    """A runner has opened the directory when the attempt is withdrawn; found by racing edits."""
    spool = Spool(tmp_path)
    run = spool.add(KEY, delivery="d", request="r", accepted_at=AT)
    aside = tmp_path / "aside"

    def meanwhile(path: str, content: bytes, *, directory: int) -> None:
        monkeypatch.undo()
        run.path.rename(aside)
        (aside / "accepted").unlink()
        if comes_anew:
            spool.add(KEY, delivery="e", request="r", accepted_at=AT, generation=1)
        write_file(path, content, directory=directory)

    monkeypatch.setattr("fleetjobs.spool.attempts.write_file", meanwhile)
    assert not run.claim(ONE, 0)

    assert list(aside.iterdir()) == []
    assert run.holder() is None
    assert (spool.find(KEY) is not None) is comes_anew


def test_a_dead_holder_is_replaced(run: RunDirectory) -> None:
    run.claim(ONE)

    run.take_over(TWO)

    assert run.holder() == TWO
    assert not run.claim(ONE)


def test_a_claim_that_cannot_be_read_is_still_a_claim(run: RunDirectory) -> None:
    (run.path / "claim").write_bytes(b"\x00\x00")

    assert run.holder() == NOBODY
    assert not run.claim(ONE)


def test_an_announced_program_is_known_with_its_time(run: RunDirectory) -> None:
    assert not run.started_at()
    assert run.started_at() is None

    run.announce(Program(holder=TWO, started_at=AT, deadline=12.5))

    assert run.program() == Program(holder=TWO, started_at=AT, deadline=12.5)
    assert run.started_at() == AT
    assert run.started_at()


def test_an_announcement_that_cannot_be_read_is_none(run: RunDirectory) -> None:
    (run.path / "program").write_bytes(b"{")

    assert run.program() is None


def test_what_cannot_be_read_just_now_is_not_taken_for_damage(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker without descriptors must not end what it has, nor call it unclaimed."""
    run.claim(ONE)
    monkeypatch.setattr(os, "open", without_descriptors)

    for question in (run.holder, run.program, run.final, run.delivery):
        with pytest.raises(SpoolFull, match="Too many open files"):
            question()


def without_descriptors(path: Path, *_: object) -> int:
    raise OSError(EMFILE, os.strerror(EMFILE), str(path))
