"""Memory, disks, connections and descriptors run out: what finds no room waits, and says why."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from fleetjobs.states import State
from tests.conftest import refuse_or_skip
from tests.faults.caller import Call, Caller
from tests.faults.checker import violations
from tests.faults.fleet import Fleet, raise_fleet
from tests.faults.fullness import full
from tests.faults.locking import locked
from tests.faults.oracle import END, START, read_marks
from tests.processes import ServerMissing, wait_for

NODE = "node1"
MB = 1024 * 1024


@pytest.mark.spec("G2", "F8", "I1", "I2", "I3", "I12")
def test_a_broker_without_memory_is_waited_for(fleet: Fleet, caller: Caller) -> None:
    """RabbitMQ lets its publishers wait for a confirmation, Redis refuses them."""
    running = caller.submit(NODE, seconds=1.0)
    wait_for(lambda: words(fleet, running) == [START], within=30.0)

    with full(fleet.broker):
        calls = [running, *(caller.submit() for _ in range(3))]
        wait_for(lambda: words(fleet, running) == [START, END], within=30.0)
        unstarted = [words(fleet, call) for call in calls[1:]]
    caller.wait()

    assert unstarted == [[], [], []]
    assert [caller.states(call) for call in calls] == [{State.SUCCEEDED}] * 4
    assert violations(caller) == []


@pytest.mark.long
@pytest.mark.timeout(400)
@pytest.mark.spec("F9", "I1", "I2", "I12")
def test_a_database_that_is_locked_for_a_minute_is_waited_for(fleet: Fleet, caller: Caller) -> None:
    calls = [caller.submit(seconds=0.5) for _ in range(3)]
    wait_for(lambda: START in words(fleet, calls[-1]), within=30.0)

    with locked(fleet):
        until = time.monotonic() + 60
        wait_for(lambda: time.monotonic() > until, within=70, every=1.0)
    caller.wait()

    assert [caller.states(call) for call in calls] == [{State.SUCCEEDED}] * 3
    assert violations(caller) == []


@pytest.mark.spec("F9", "I1", "I2", "I4", "I12")
@pytest.mark.parametrize("fleet", ["rabbit-postgres"], indirect=True)
def test_a_database_without_connections_is_waited_for(fleet: Fleet, caller: Caller) -> None:
    """Others have them all, and what our programs had was ended."""
    running = caller.submit(NODE, seconds=1.0)
    wait_for(lambda: words(fleet, running) == [START], within=30.0)

    with exhausted(fleet):
        for part in ("server", "coordinator"):
            fleet.wire(part, "database").cut()
            fleet.wire(part, "database").heal()
        unheard = caller.ask()
        wait_for(lambda: words(fleet, running) == [START, END], within=30.0)
    caller.insist()
    caller.wait()

    assert caller.states(running) == caller.states(unheard) == {State.SUCCEEDED}
    assert violations(caller) == []


@contextmanager
def exhausted(fleet: Fleet) -> Iterator[None]:
    """Nobody gets a connection to the database."""
    assert fleet.database is not None
    with ExitStack() as taken:
        with suppress(psycopg.OperationalError):
            while True:
                taken.enter_context(psycopg.connect(fleet.database.url))
        yield


@pytest.mark.spec("F5", "I1", "I3", "I12")
def test_a_worker_without_descriptors_takes_nothing_and_goes_on_when_it_has_some(
    fleet: Fleet, caller: Caller
) -> None:
    """EMFILE is a full disk: the message stays with the broker."""
    caller.wait(caller.submit(NODE))
    worker = psutil.Process(fleet.worker(NODE).pid)
    before = worker.rlimit(psutil.RLIMIT_NOFILE)

    worker.rlimit(psutil.RLIMIT_NOFILE, (worker.num_fds(), before[1]))
    calls = [caller.submit(NODE) for _ in range(3)]
    wait_for(lambda: "Too many open files" in fleet.worker(NODE).log.read_text(), within=30.0)
    begun = [words(fleet, call) for call in calls]
    worker.rlimit(psutil.RLIMIT_NOFILE, before)
    caller.wait()

    assert begun == [[], [], []]
    assert [caller.states(call) for call in calls] == [{State.SUCCEEDED}] * 3
    assert violations(caller) == []


@pytest.mark.long
@pytest.mark.timeout(400)
@pytest.mark.spec("F5", "I1", "I2", "I3", "I12")
@pytest.mark.parametrize("stack", ["redis-sqlite", "rabbit-postgres"])
@pytest.mark.parametrize("whose", ["node", "broker", "database"])
def test_a_disk_that_is_full_for_a_while_loses_nothing(
    tmp_path: Path, stack: str, whose: str
) -> None:
    """On a small file system of its own; what cannot be kept is not accepted, or comes again."""
    with small_disk(tmp_path / "small") as place, ExitStack() as opened:
        try:
            fleet = opened.enter_context(raise_fleet(tmp_path / "big", stack))
        except ServerMissing as missing:
            refuse_or_skip(str(missing))
        opened.callback(unmount)  # first of all, for who removes a directory must not find a mount
        caller = Caller(fleet)
        move(fleet, whose, place)
        running = caller.submit(NODE, seconds=2.0)
        wait_for(lambda: words(fleet, running) == [START], within=30.0)

        ballast = fill(place)
        calls = [caller.ask() for _ in range(5)]
        wait_for(lambda: words(fleet, running) == [START, END], within=30.0)
        ballast.unlink()
        for call in caller.calls.values():  # a program, too, finds no room for its marks and reply
            call.harmed = whose == "node" or fleet.database is None

        assert violations(caller) == []
        for call in (running, *calls):
            assert caller.states(call) <= {State.SUCCEEDED, State.FAILED}
            assert caller.states(call) == {State.SUCCEEDED} or call.harmed


def move(fleet: Fleet, whose: str, place: Path) -> None:
    """Have that one's files on the small file system from now on."""
    if whose == "node":
        fleet.worker(NODE).kill()
        bind(fleet.spool(NODE).root, place)
        fleet.worker(NODE).start()
    elif whose == "broker":
        fleet.broker.kill()
        bind(fleet.broker.directory, place)
        fleet.broker.start()
    elif fleet.database is None:
        for part in (fleet.server, fleet.coordinator):
            part.kill()
        bind(fleet.premises.root, place)
        fleet.heal()
    else:
        fleet.database.kill()
        bind(Path(str(fleet.database._home)), place)
        fleet.database.start()


def bind(directory: Path, place: Path) -> None:
    """Move a directory to another file system, where it is found under its old name."""
    subprocess.run(["cp", "-a", f"{directory}/.", place], check=True)
    place.chmod(directory.stat().st_mode)
    subprocess.run(["chown", f"--reference={directory}", place], check=True)
    subprocess.run(["mount", "--bind", place, directory], check=True)
    MOUNTED.append(directory)


MOUNTED: list[Path] = []


@contextmanager
def small_disk(place: Path) -> Iterator[Path]:
    """A file system of 160 MB; RabbitMQ wants to see fifty of them free."""
    place.mkdir()
    argv = ["mount", "-t", "tmpfs", "-o", "size=160m", "none", str(place)]
    if subprocess.run(argv, check=False, capture_output=True).returncode:
        pytest.skip("only root may mount")
    try:
        yield place
    finally:
        unmount()
        subprocess.run(["umount", "-l", place], check=True)


def unmount() -> None:
    """All that was bound; who has files open there keeps them."""
    while MOUNTED:
        subprocess.run(["umount", "-l", MOUNTED.pop()], check=True)


def fill(directory: Path) -> Path:
    """Leave no room."""
    path = directory / "ballast"
    with path.open("wb", buffering=0) as file, suppress(OSError):
        for size in (MB, 4096, 1):
            with suppress(OSError):
                while True:
                    file.write(b"x" * size)
    return path


def words(fleet: Fleet, call: Call) -> list[str]:
    """What the job's marks say, in their order."""
    return [mark.word for mark in read_marks(fleet.marks) if mark.attempt.job == call.job]
