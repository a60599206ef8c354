"""A node whose disk fails: full, altered, cut. Nothing is accepted that cannot be kept."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from fleetjobs.documents import decode
from fleetjobs.errors import SpoolFull
from fleetjobs.messages import Output, Reply, Stage
from fleetjobs.node.process import is_alive
from fleetjobs.signing import unseal
from fleetjobs.states import Reason, State
from tests.workbench import Desk, make_key

OK = 'echo \'{"data": {"ok": 1}}\' > "$FLEETJOBS_REPLY"'


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte and 200 files."""
    place = tmp_path / "small"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=200", "none", place],
        check=False,
        capture_output=True,
    )
    if done.returncode:
        pytest.skip("only root may mount")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


@pytest.fixture
def small_desk(small_disk: Path) -> Iterator[Desk]:
    desk = Desk(small_disk)
    yield desk
    desk.close()


def fill(directory: Path) -> Path:
    """Leave no room."""
    path = directory / "ballast"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return path


@pytest.mark.spec("F5", "S0-11")
def test_a_full_disk_accepts_nothing_and_what_it_has_goes_on_when_there_is_room(
    small_desk: Desk,
) -> None:
    small_desk.shell(OK)
    kept = small_desk.accept()
    ballast = fill(small_desk.root)

    refused = make_key()
    with pytest.raises(SpoolFull, match="No space left"):
        small_desk.accept(refused)
    assert small_desk.spool.find(refused) is None

    small_desk.drive(lambda: small_desk.launcher.running == 1)
    small_desk.drive(lambda: small_desk.launcher.running == 0)
    assert not kept.is_settled
    ballast.unlink()
    assert small_desk.reply(kept).state is State.SUCCEEDED


@pytest.mark.spec("F5", "S0-11")
def test_no_inodes_left_is_a_full_disk_too(small_desk: Desk) -> None:
    with suppress(OSError):
        for number in range(300):
            (small_desk.root / str(number)).touch()

    with pytest.raises(SpoolFull):
        small_desk.accept()

    assert small_desk.spool.runs() == []


@pytest.mark.spec("F5", "S0-11")
def test_a_disk_that_fills_up_while_an_action_runs_loses_no_outcome(
    small_desk: Desk, tmp_path: Path
) -> None:
    """The reply finds no room; when there is some again, the run is settled, and not repeated."""
    root = small_desk.root
    small_desk.shell(
        f"echo start >> {root}/marks; until [ -e {tmp_path}/go ]; do sleep 0.02; done; {OK}"
    )
    run = small_desk.accept()
    small_desk.drive((root / "marks").exists)
    holder = run.holder()
    assert holder is not None
    ballast = fill(root)

    (tmp_path / "go").touch()
    small_desk.drive(lambda: not is_alive(holder))
    assert not run.is_settled
    ballast.unlink()
    reply = small_desk.reply(run)

    assert reply.state is State.FAILED  # its program could not write its reply either
    assert (root / "marks").read_text() == "start\n"


@pytest.mark.spec("F5", "S0-11")
def test_output_leaves_the_last_of_the_disk_to_the_replies(small_desk: Desk) -> None:
    small_desk.shell(f"head -c 3000000 /dev/zero; {OK}")

    reply = small_desk.do()

    assert reply.state is State.SUCCEEDED
    assert reply.stdout == Output(size=3_000_000, content=b"")


@pytest.mark.spec("F5", "S0-11")
@pytest.mark.parametrize("damage", ["cut", "flipped", "gone", "empty directory"])
def test_a_run_that_the_disk_lost_is_settled_and_stops_no_other(desk: Desk, damage: str) -> None:
    desk.shell(OK)
    broken, healthy = desk.accept(), desk.accept()
    desk.close()
    path = broken.path / "accepted"
    match damage:
        case "cut":
            os.truncate(path, 100)
        case "flipped":
            content = bytearray(path.read_bytes())
            content[200] ^= 4
            path.write_bytes(content)
        case _:
            path.unlink()
    desk.open()

    assert desk.reply(healthy).state is State.SUCCEEDED
    reply = desk.reply(broken)
    assert (reply.state, reply.reason) == (State.FAILED, Reason.INTERRUPTED)
    assert reply.accepted_at is None
    assert not broken.started_at()


@pytest.mark.spec("F5", "G7", "I1", "I3")
@pytest.mark.parametrize("name", ["claim", "program", "outbox", "final", "accepted"])
@pytest.mark.parametrize("bit", [3, 400, 1001])
def test_a_bit_that_flips_in_what_has_ended_begins_nothing_and_hides_no_end(
    desk: Desk, name: str, bit: int
) -> None:
    """Whoever asks is told an end that he can believe, if only that the true one is lost."""
    desk.shell(f"echo start >> {desk.marks}; {OK}")
    run = desk.accept()
    desk.reply(run)
    [entry] = desk.spool.outbox()
    if name != "outbox":
        desk.spool.confirm(entry)
    desk.close()
    flip(entry.path if name == "outbox" else run.path / name, bit)
    desk.open()

    desk.drive(lambda: desk.launcher.running == 0)
    answer = desk.orders.answer(run.key)

    assert answer is not None
    reply = decode(Reply, unseal(answer, {desk.signer.id: desk.signer.verify_key})[1])
    assert reply.stage is Stage.FINISHED
    lost = name in {"outbox", "final"}
    assert reply.reason is (Reason.INTERRUPTED if lost else None)
    assert desk.marks.read_text() == "start\n"


@pytest.mark.spec("F5", "I3")
@pytest.mark.parametrize("name", ["claim", "program"])
@pytest.mark.parametrize("bit", [0, 3, 100, 333])
def test_a_bit_that_flips_while_nobody_watches_a_run_does_not_begin_it_again(
    desk: Desk, name: str, bit: int
) -> None:
    go = desk.root / "go"
    desk.shell(f"echo start >> {desk.marks}; until [ -e {go} ]; do sleep 0.02; done; {OK}")
    run = desk.accept()
    desk.drive(desk.marks.exists)
    holder = run.holder()
    assert holder is not None
    desk.close()
    os.kill(holder.pid, signal.SIGKILL)
    flip(run.path / name, bit)

    desk.open()
    desk.drive(lambda: run.holder() != holder or desk.launcher.running == 1)
    go.touch()
    reply = desk.reply(run)

    assert reply.state in {State.SUCCEEDED, State.FAILED}
    assert desk.marks.read_text() == "start\n"


def flip(path: Path, bit: int) -> None:
    """One of its bits; from the beginning again if it has fewer."""
    content = bytearray(path.read_bytes())
    place, number = divmod(bit % (len(content) * 8), 8)
    content[place] ^= 1 << number
    path.write_bytes(content)


@pytest.mark.spec("F5")
def test_rubbish_in_the_spool_stops_nothing(desk: Desk) -> None:
    desk.shell(OK)
    run = desk.accept()
    desk.close()
    runs = desk.workplace.spool / "runs"
    (runs / "rubbish").mkdir()
    (runs / "file").write_bytes(b"\xff")
    (runs / str(make_key())).touch()
    (desk.workplace.spool / "outbox" / "x.y").touch()
    desk.open()

    assert desk.reply(run).state is State.SUCCEEDED
    assert {"rubbish", "file", "x.y"} <= set(desk.spool.broken())
