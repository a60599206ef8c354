"""The launcher with a host that does as the test says."""

import os
import signal
from datetime import timedelta
from errno import EMFILE
from pathlib import Path

import pytest

from fleetjobs.errors import SpoolFull
from fleetjobs.messages import Reply, Stage
from fleetjobs.node import active, launcher
from fleetjobs.node.backlog import Backlog
from fleetjobs.node.hosting import RunnerHost, Told, Word
from fleetjobs.node.launcher import Launcher
from fleetjobs.node.orders import Orders
from fleetjobs.node.process import holder
from fleetjobs.node.reports import Reports
from fleetjobs.signing import SigningKey
from fleetjobs.spool.attempts import RunDirectory, RunKey
from fleetjobs.spool.spool import Spool
from fleetjobs.states import State
from tests.workbench import NODE, make_key, now, seal_run, wait_for


class FakeHost(RunnerHost):
    """Notes what it is asked, tells what it is given."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, RunKey]] = []
        self.told: list[Told] = []
        self.starts = 0
        self.refuses = False

    @property
    def is_connected(self) -> bool:
        """Whether it was started and has not died."""
        return self.starts > 0

    def start(self) -> None:
        """Be there."""
        if self.refuses:
            raise BlockingIOError("no process")
        self.starts += 1

    def run(self, key: RunKey, generation: int = 0) -> bool:  # noqa: ARG002  as hosts have it
        """Note it."""
        self.asked.append(("run", key))
        return True

    def adopt(self, key: RunKey) -> bool:
        """Note it."""
        self.asked.append(("adopt", key))
        return True

    def take(self) -> list[Told]:
        """What the test has left here."""
        told, self.told = self.told, []
        return told


class Bench:
    """A launcher and all it needs."""

    def __init__(self, root: Path) -> None:
        self.spool = Spool(root)
        self.host = FakeHost()
        self.ended: list[Reply] = []
        self.signer = SigningKey.generate("node:web1")
        self.sent: list[str] = []
        self.limits: dict[str, int] = {}
        self.orders = Orders(node=NODE, spool=self.spool, signer=self.signer, clock=now)
        self.backlog = Backlog()
        self.launcher = Launcher(
            spool=self.spool,
            host=self.host,
            orders=self.orders,
            backlog=self.backlog,
            reports=Reports(
                node=NODE,
                spool=self.spool,
                signer=self.signer,
                clock=now,
                send=self.sent.append,
                on_outbox=lambda: None,
            ),
            slots=2,
            limits=self.limits.get,
            clock=now,
            on_started=lambda _reply: None,
            on_finished=self._note_ended,
        )

    def _note_ended(self, reply: Reply, *, told: bool) -> None:
        assert not told
        self.ended.append(reply)

    def accept(self, key: RunKey | None = None, **options: object) -> RunDirectory:
        """Put a run into the spool."""
        key = key or make_key()
        delivery, request = seal_run(key, **options)  # type: ignore[arg-type]
        return self.spool.add(key, delivery=delivery, request=request, accepted_at=now())


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(active, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(launcher, "HOST_PAUSE_S", 0.01)
    return Bench(tmp_path)


def dead() -> int:
    """The pid of a process that has ended."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


def test_a_run_for_which_no_process_could_be_made_is_tried_again(bench: Bench) -> None:
    run = bench.accept()
    bench.launcher.step()
    bench.host.told = [Told(Word.UNABLE, run.key)]

    bench.launcher.step()
    assert (bench.launcher.running, bench.launcher.waiting) == (0, 1)
    wait_for(bench.launcher.step)

    assert bench.host.asked == [("run", run.key)] * 2


def test_a_run_is_handed_over_once_while_its_runner_has_not_claimed_it(bench: Bench) -> None:
    run = bench.accept()

    for _ in range(5):
        bench.launcher.step()
    bench.host.told = [Told(Word.FORKED, run.key)]
    bench.launcher.step()

    assert bench.host.asked == [("run", run.key)]


def test_what_a_live_process_holds_is_left_to_it(bench: Bench) -> None:
    run = bench.accept()
    run.claim(holder(os.getpid()))
    bench.spool.take_new()

    bench.launcher.step()

    assert bench.host.asked == []
    assert bench.launcher.running == 1


def test_what_a_dead_process_held_is_adopted_and_again_after_pauses(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk may be full: each adopter dies, and the next has to wait longer."""
    monkeypatch.setattr(active, "LOOK_EVERY_S", 0.02)
    run = bench.accept()
    run.claim(holder(dead()))
    bench.spool.take_new()
    bench.launcher.step()
    assert bench.host.asked == [("adopt", run.key)]

    bench.host.told = [Told(Word.ENDED, run.key)]
    bench.launcher.step()
    assert len(bench.host.asked) == 1
    wait_for(lambda: bench.launcher.step() or len(bench.host.asked) == 2)

    assert bench.host.asked == [("adopt", run.key)] * 2


@pytest.mark.spec("I9", "F16")
def test_what_is_called_off_further_back_in_the_queue_does_not_begin(bench: Bench) -> None:
    bench.backlog.found(2)
    off, run = bench.accept(), bench.accept()
    bench.backlog.read()
    bench.launcher.step()
    assert bench.host.asked == []

    bench.orders.stop(off, "not wanted any more")
    bench.launcher.reconsider(off.key)
    assert bench.backlog.read()
    bench.launcher.step()

    assert bench.host.asked == [("run", run.key)]


def test_without_a_host_nothing_starts_and_it_is_tried_again(bench: Bench) -> None:
    bench.host.refuses = True
    run = bench.accept()
    bench.launcher.step()
    assert bench.host.asked == []

    bench.host.refuses = False
    wait_for(bench.launcher.step)

    assert bench.host.asked == [("run", run.key)]


def test_without_a_host_what_is_too_late_still_expires(bench: Bench) -> None:
    bench.host.refuses = True
    run = bench.accept(start_before=now() - timedelta(seconds=1))

    bench.launcher.step()

    assert run.is_settled
    assert [reply.state for reply in bench.ended] == [State.EXPIRED]


def test_a_run_that_a_runner_has_taken_does_not_expire(bench: Bench) -> None:
    run = bench.accept(start_before=now() - timedelta(seconds=1))
    run.claim(holder(os.getpid()))

    bench.launcher.step()

    assert not run.is_settled
    assert bench.launcher.running == 1


def test_a_final_reply_that_cannot_be_read_ends_the_run_all_the_same(bench: Bench) -> None:
    run = bench.accept()
    bench.launcher.step()
    bench.spool.put_reply(run.key, Stage.FINISHED, "rubbish")
    bench.host.told = [Told(Word.ENDED, run.key)]

    assert bench.launcher.step() == 1

    assert bench.launcher.running == 0
    assert bench.ended == []


def test_what_a_host_tells_of_an_unknown_run_is_nothing(bench: Bench) -> None:
    bench.host.told = [Told(Word.ENDED, make_key())]

    assert bench.launcher.step() == 0


def test_a_stopped_process_is_alive(bench: Bench) -> None:
    """A runner that was stopped has not ended; nobody else may take its run."""
    pid = os.fork()
    if pid == 0:
        signal.pause()
        os._exit(0)
    os.kill(pid, signal.SIGSTOP)
    os.waitpid(pid, os.WUNTRACED)
    run = bench.accept()
    run.claim(holder(pid))
    bench.spool.take_new()

    bench.launcher.step()

    assert bench.host.asked == []
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_what_was_overlooked_for_lack_of_descriptors_is_looked_at_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New runs and ended ones are told of once; nothing of that may be lost."""
    ended = bench.accept()
    bench.launcher.step()
    final = bench.signer.seal(b"{}")
    bench.spool.put_reply(ended.key, Stage.FINISHED, final)
    bench.host.told = [Told(Word.ENDED, ended.key)]
    runs = [bench.accept() for _ in range(2)]

    with monkeypatch.context() as short:
        short.setattr(os, "open", without_descriptors)
        with pytest.raises(SpoolFull):
            bench.launcher.step()
    bench.launcher.step()

    assert sorted(bench.host.asked) == sorted(("run", run.key) for run in (ended, *runs))
    assert bench.launcher.running == 2


def test_what_was_overlooked_when_a_pass_failed_is_looked_at_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the reason was: what is new is told of once."""
    bench.launcher.step()
    runs = [bench.accept() for _ in range(2)]

    with monkeypatch.context() as patch:
        patch.setattr(launcher, "lane_of", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            bench.launcher.step()
    bench.launcher.step()

    assert sorted(bench.host.asked) == sorted(("run", run.key) for run in runs)


def without_descriptors(path: Path, *_: object) -> int:
    raise OSError(EMFILE, os.strerror(EMFILE), str(path))
