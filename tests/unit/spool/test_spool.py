import errno
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fleetjobs.errors import BrokenRun, DuplicateRun, InvalidDocument, SpoolFull
from fleetjobs.messages import Stage
from fleetjobs.names import JobId
from fleetjobs.spool import spool as module
from fleetjobs.spool.attempts import RunDirectory, RunKey
from fleetjobs.spool.spool import Spool

KEY = RunKey(JobId("0190a1b2-0000-7000-8000-000000000001"), 1)
OTHER = RunKey(JobId("0190a1b2-0000-7000-8000-000000000002"), 3)
AT = datetime(2026, 12, 1, 4, 0, tzinfo=UTC)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


def add(spool: Spool, key: RunKey = KEY) -> RunDirectory:
    return spool.add(key, delivery="d.d.d", request="r.r.r", accepted_at=AT)


def leftovers(spool: Spool) -> list[str]:
    return os.listdir(spool.root / "incoming")  # noqa: PTH208  names are all we want


def test_a_run_that_was_added_is_found_by_another_process(spool: Spool) -> None:
    add(spool)

    run = Spool(spool.root).find(KEY)

    assert run is not None
    assert (run.delivery(), run.request(), run.accepted_at) == ("d.d.d", "r.r.r", AT)
    assert leftovers(spool) == []


def test_a_run_that_was_never_added_is_not_found(spool: Spool) -> None:
    assert spool.find(KEY) is None


def test_the_same_attempt_is_accepted_once(spool: Spool) -> None:
    add(spool)

    with pytest.raises(DuplicateRun):
        spool.add(KEY, delivery="other", request="other", accepted_at=AT)

    assert spool.find(KEY).delivery() == "d.d.d"  # type: ignore[union-attr]
    assert leftovers(spool) == []


def test_another_attempt_is_another_run(spool: Spool) -> None:
    add(spool, KEY)
    add(spool, RunKey(KEY.job, 2))

    assert {str(run.key) for run in spool.runs()} == {f"{KEY.job}.1", f"{KEY.job}.2"}


def test_what_was_added_is_handed_out_once(spool: Spool) -> None:
    run = add(spool)

    assert spool.take_new() == [run]
    assert spool.take_new() == []


def test_a_leftover_of_a_killed_process_with_our_pid_is_no_duplicate(spool: Spool) -> None:
    aside = spool.root / "incoming" / f"{os.getpid()}.{KEY}"
    aside.mkdir()
    (aside / "accepted").write_text("half")

    assert add(spool).delivery() == "d.d.d"


def test_sweeping_removes_what_the_dead_were_writing_and_nothing_of_the_living(
    spool: Spool,
) -> None:
    (spool.root / "incoming" / f"{2**22 + 1}.x").mkdir()
    (spool.root / "incoming" / f"{2**22 + 1}.y").touch()
    (spool.root / "incoming" / f"{os.getpid()}.z").touch()

    spool.sweep()

    assert leftovers(spool) == [f"{os.getpid()}.z"]


def test_what_is_no_run_is_set_aside_and_stops_no_other(spool: Spool) -> None:
    add(spool)
    (spool.root / "runs" / "lost+found").mkdir()
    (spool.root / "runs" / f"{KEY.job}.x").touch()
    (spool.root / "outbox" / f"{KEY}.nonsense").touch()

    assert [run.key for run in spool.runs()] == [KEY]
    assert spool.outbox() == []
    assert spool.broken() == sorted(["lost+found", f"{KEY.job}.x", f"{KEY}.nonsense"])


@pytest.mark.parametrize("damage", [b"", b"x", b"deadbeef\n{}"])
def test_a_request_that_the_disk_altered_is_not_believed(spool: Spool, damage: bytes) -> None:
    run = add(spool)
    (run.path / "accepted").write_bytes(damage)

    with pytest.raises(BrokenRun):
        run.delivery()


def test_a_flipped_bit_is_noticed(spool: Spool) -> None:
    run = add(spool)
    content = bytearray((run.path / "accepted").read_bytes())
    content[-5] ^= 1
    (run.path / "accepted").write_bytes(content)

    with pytest.raises(BrokenRun):
        run.request()


def test_a_request_that_is_gone_is_broken(spool: Spool) -> None:
    run = add(spool)
    (run.path / "accepted").unlink()

    with pytest.raises(BrokenRun):
        run.request()


def test_replies_are_sent_oldest_first_and_forgotten_when_confirmed(spool: Spool) -> None:
    add(spool, OTHER)
    spool.put_reply(OTHER, Stage.STARTED, "one")
    spool.put_reply(KEY, Stage.STARTED, "two")
    os.utime(spool.root / "outbox" / f"{OTHER}.started", ns=(1, 1))

    first, second = spool.outbox()
    assert (first.sealed(), second.sealed()) == ("one", "two")
    assert spool.outbox(limit=1) == [first]

    spool.confirm(first)
    spool.confirm(second)
    spool.confirm(second)
    assert spool.outbox() == []


def test_a_final_reply_counts_from_the_outbox_on_and_stays_with_its_run(spool: Spool) -> None:
    run = add(spool)
    assert not run.is_settled

    spool.put_reply(KEY, Stage.FINISHED, "final")
    assert run.final() == "final"
    assert spool.unsettled() == []

    spool.confirm(spool.outbox()[0])
    assert run.final() == "final"
    assert spool.unsettled() == []
    assert spool.outbox() == []


@pytest.mark.parametrize("confirmed", [True, False])
def test_the_first_final_reply_stands(spool: Spool, *, confirmed: bool) -> None:
    run = add(spool)
    spool.put_reply(KEY, Stage.FINISHED, "first")
    if confirmed:
        spool.confirm(spool.outbox()[0])

    spool.put_reply(KEY, Stage.FINISHED, "second")

    assert run.final() == "first"
    assert leftovers(spool) == []


def test_a_reply_without_a_run_is_forgotten_when_confirmed(spool: Spool) -> None:
    spool.put_reply(KEY, Stage.FINISHED, "denied")

    spool.confirm(spool.outbox()[0])

    assert spool.outbox() == []


def test_only_runs_without_a_final_reply_are_unsettled(spool: Spool) -> None:
    add(spool, KEY)
    add(spool, OTHER)
    spool.put_reply(KEY, Stage.FINISHED, "final")

    assert [run.key for run in spool.unsettled()] == [OTHER]


@contextmanager
def file_size_limit(limit: int) -> Iterator[None]:
    """A disk that takes files of so many bytes and no more: EFBIG stands in for ENOSPC."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_accepts_nothing_and_keeps_nothing_half(spool: Spool) -> None:
    with file_size_limit(50), pytest.raises(SpoolFull):
        add(spool)

    assert spool.runs() == []
    assert leftovers(spool) == []
    assert spool.take_new() == []
    add(spool)


def test_a_full_disk_keeps_no_half_reply(spool: Spool) -> None:
    run = add(spool)

    with file_size_limit(50), pytest.raises(SpoolFull):
        spool.put_reply(KEY, Stage.FINISHED, "x" * 100)

    assert not run.is_settled
    assert spool.outbox() == []
    assert leftovers(spool) == []


@pytest.mark.parametrize("name", ["mkdir", "rename"])
@pytest.mark.parametrize("number", [errno.EROFS, errno.EDQUOT, errno.EMFILE, errno.ENOSPC])
def test_whatever_the_disk_refuses_nothing_is_half_written(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, name: str, number: int
) -> None:
    def refuse(*_args: object, **_options: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(Path, name, refuse)
        with pytest.raises(SpoolFull, match=os.strerror(number)):
            add(spool)

    assert spool.runs() == []
    assert leftovers(spool) == []


def test_what_cannot_be_made_to_last_is_not_accepted(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has its name by then; left there, it would be answered for, and never begin."""
    sync = module.sync_directory

    def refuse(directory: Path) -> None:
        if directory.name == "runs":
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        sync(directory)

    with monkeypatch.context() as patch:
        patch.setattr(module, "sync_directory", refuse)
        with pytest.raises(SpoolFull):
            add(spool)

    assert (spool.runs(), leftovers(spool), spool.take_new()) == ([], [], [])
    run = add(spool)
    assert spool.take_new() == [run]


@pytest.mark.timeout(10)
@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_a_program_has_put_in_place_of_its_final_reply_is_none(
    spool: Spool, make: Callable[[Path], None]
) -> None:
    """Nor does it keep the reply that it has, or those of others, from being sent and kept."""
    run, other = add(spool), add(spool, OTHER)
    make(run.path / "final")
    assert not run.is_settled
    assert set(spool.unsettled()) == {run, other}

    for key in (KEY, OTHER):
        spool.put_reply(key, Stage.FINISHED, "a.b.c")
    for entry in spool.outbox():
        spool.confirm(entry)

    assert spool.outbox() == []
    assert run.final() == other.final() == "a.b.c"


KILLED = """
import os, signal, sys
from pathlib import Path
from fleetjobs.spool import spool as module
from tests.unit.spool.test_spool import add
step, root = sys.argv[1], sys.argv[2]
spool = module.Spool(Path(root))
def die(*args): os.kill(os.getpid(), signal.SIGKILL)
if step == "rename": Path.rename = die
else: setattr(module, step, die)
add(spool)
"""


@pytest.mark.parametrize("step", ["sync_directory", "rename"])
def test_killed_while_adding_the_run_is_absent_and_can_be_added(
    spool: Spool, tmp_path: Path, step: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, step, spool.root],
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=tmp_path,
    )
    assert done.returncode == -9
    assert len(leftovers(spool)) == 1

    assert spool.find(KEY) is None
    spool.sweep()
    add(spool)
    assert leftovers(spool) == []


@pytest.mark.parametrize("text", ["", "x", "x.1", f"{KEY.job}", f"{KEY.job}.-1", f"{KEY.job}.²"])
def test_a_name_that_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidDocument):
        RunKey.read(text)


def test_a_key_is_read_back_from_its_name() -> None:
    assert RunKey.read(str(KEY)) == KEY
