"""A node whose disk fails: full, altered, cut. Nothing is accepted that cannot be kept."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from fleetjobs.errors import SpoolFull
from fleetjobs.messages import Output
from fleetjobs.node.process import is_alive
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


def test_no_inodes_left_is_a_full_disk_too(small_desk: Desk) -> None:
    with suppress(OSError):
        for number in range(300):
            (small_desk.root / str(number)).touch()

    with pytest.raises(SpoolFull):
        small_desk.accept()

    assert small_desk.spool.runs() == []


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


def test_output_leaves_the_last_of_the_disk_to_the_replies(small_desk: Desk) -> None:
    small_desk.shell(f"head -c 3000000 /dev/zero; {OK}")

    reply = small_desk.do()

    assert reply.state is State.SUCCEEDED
    assert reply.stdout == Output(size=3_000_000, content=b"")


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
    assert not broken.is_started()


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
