import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import process_time

import pytest

from fleetjobs.errors import SpoolFull
from fleetjobs.messages import Stage, Verb
from fleetjobs.spool.attempts import RunDirectory, RunKey
from fleetjobs.spool.fences import Fence
from fleetjobs.spool.pruning import Pruner
from fleetjobs.spool.seen import Seen
from fleetjobs.spool.spool import Spool
from tests.makers import Clock
from tests.workbench import make_key, seal_run


class Bench:
    """A spool, what prunes it, and a clock to set forward."""

    def __init__(self, root: Path, keep_bytes: int = 1_000_000) -> None:
        self.clock = Clock(datetime.now(UTC))
        self.spool = Spool(root / "spool")
        self.gone = Seen(root / "gone", self.clock, is_durable=True)
        self.pruner = Pruner(
            spool=self.spool,
            gone=self.gone,
            clock=self.clock,
            keep=timedelta(days=7),
            keep_bytes=keep_bytes,
        )

    def add(self, key: RunKey | None = None, **options: object) -> RunDirectory:
        """A run that has not ended."""
        key = key or make_key()
        delivery, request = seal_run(key, **options)  # type: ignore[arg-type]
        run = self.spool.add(key, delivery=delivery, request=request, accepted_at=self.clock())
        (run.path / "work").mkdir()
        (run.path / "work" / "file").write_bytes(b"x")
        return run

    def end(self, run: RunDirectory, log: bytes = b"log") -> RunDirectory:
        """Its final reply was confirmed."""
        (run.path / "stdout").write_bytes(log)
        self.spool.put_reply(run.key, Stage.FINISHED, "final")
        for entry in self.spool.outbox():
            self.spool.confirm(entry)
        return run


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_an_ended_run_loses_its_working_directory_and_later_all(bench: Bench) -> None:
    run = bench.end(bench.add())
    assert bench.pruner.step() == 0
    assert (run.path / "work").exists()

    bench.clock.forward(timedelta(hours=2))
    assert bench.pruner.step() == 0
    assert not (run.path / "work").exists()
    assert (run.path / "stdout").exists()

    bench.clock.forward(timedelta(days=8))
    assert bench.pruner.step() == 1
    assert bench.spool.find(run.key) is None
    assert os.listdir(bench.spool.root / "incoming") == []  # noqa: PTH208  names only


@pytest.mark.spec("I3")
def test_what_was_removed_is_remembered_after_a_restart(bench: Bench, tmp_path: Path) -> None:
    run = bench.end(bench.add())
    bench.spool.fences.put(run.key, Fence(generation=1, verb=Verb.WITHDRAW, at=bench.clock()))
    bench.clock.forward(timedelta(days=8))

    bench.pruner.step()

    assert run.key in Seen(tmp_path / "gone", bench.clock)
    assert bench.spool.fences.find(run.key) is None


def test_it_is_remembered_for_as_long_as_it_could_be_delivered(
    bench: Bench, tmp_path: Path
) -> None:
    soon = bench.end(bench.add(start_before=bench.clock() + timedelta(days=9)))
    never = bench.end(bench.add())
    bench.clock.forward(timedelta(days=8))
    bench.pruner.step()

    bench.clock.forward(timedelta(days=30))
    kept = Seen(tmp_path / "gone", bench.clock)

    assert soon.key not in kept
    assert never.key in kept


@pytest.mark.spec("F22")
def test_what_has_not_ended_or_is_not_confirmed_stays(bench: Bench) -> None:
    live, unsent = bench.add(), bench.add()
    bench.spool.put_reply(unsent.key, Stage.FINISHED, "final")
    bench.clock.forward(timedelta(days=300))

    assert bench.pruner.step() == 0

    assert (live.path / "work" / "file").exists()
    assert unsent.final() == "final"


def test_of_too_much_the_oldest_goes_first(tmp_path: Path) -> None:
    bench = Bench(tmp_path, keep_bytes=50_000)
    runs = []
    for _ in range(4):
        run = bench.end(bench.add(), b"x" * 20_000)
        os.rename(run.path / "final", run.path / "aside")  # noqa: PTH104  sets its ctime
        os.rename(run.path / "aside", run.path / "final")  # noqa: PTH104
        runs.append(run)

    assert bench.pruner.step() == 2

    assert [bench.spool.find(run.key) is not None for run in runs] == [False, False, True, True]


@pytest.mark.spec("F5")
def test_on_a_full_disk_logs_go_first(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """To remember a run takes room, and nothing may be removed that is not remembered."""

    def full(*_: object, **__: object) -> None:
        raise SpoolFull("no space left")

    run = bench.end(bench.add())
    bench.clock.forward(timedelta(days=8))
    monkeypatch.setattr(bench.gone, "add", full)

    with pytest.raises(SpoolFull):
        bench.pruner.step()

    assert run.final() == "final"
    assert not (run.path / "stdout").exists()


def test_the_fence_of_what_never_came_goes_when_it_cannot_come_any_more(bench: Bench) -> None:
    key = make_key()
    bench.spool.fences.put(key, Fence(generation=1, verb=Verb.STOP, at=bench.clock()))

    bench.clock.forward(timedelta(days=399))
    bench.pruner.step()
    assert bench.spool.fences.find(key) is not None

    bench.clock.forward(timedelta(days=2))
    bench.pruner.step()
    assert bench.spool.fences.find(key) is None


@pytest.mark.slow
def test_ten_thousand_ended_runs_do_not_hold_up_a_start(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for number in range(10_000):
        run = tmp_path / "runs" / f"0190a1b2-0000-7000-8000-{number:012}.{1 + number % 3}"
        run.mkdir()
        (run / "final").touch()

    began = process_time()
    spool.sweep()
    assert spool.unsettled() == []
    assert spool.latest(make_key().job) == 1

    assert process_time() - began < 3
