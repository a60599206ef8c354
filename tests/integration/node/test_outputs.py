"""What programs write: kept up to a limit, counted beyond it, in bounded memory."""

import os
import signal

import pytest

from fleetjobs.messages import Output
from fleetjobs.node.streams import SENT_BYTES
from fleetjobs.states import State
from tests.workbench import Desk

OK = 'echo \'{"data": {"ok": 1}}\' > "$FLEETJOBS_REPLY"'
MB = 1024 * 1024


@pytest.mark.spec("F15", "I2")
@pytest.mark.parametrize(
    "command",
    [
        "head -c 104857600 /dev/zero",
        "yes short lines | head -c 104857600",
        "head -c 104857600 /dev/urandom >&2; head -c 104857600 /dev/zero",
    ],
    ids=["one long line", "many short lines", "both streams, binary"],
)
def test_100_mb_are_counted_and_10_are_kept(desk: Desk, command: str) -> None:
    """F15; the runner tells its own peak memory when it is done."""
    desk.shell(f"{command}; {OK}; grep VmHWM /proc/$PPID/status > {desk.root}/peak")

    run = desk.accept()
    reply = desk.reply(run)

    assert reply.state is State.SUCCEEDED
    assert reply.stdout is not None
    assert reply.stdout.size == 100 * MB
    assert len(reply.stdout.content) == SENT_BYTES
    assert (run.path / "stdout").stat().st_size == 10 * MB
    assert reply.stderr is None or reply.stderr.size == 100 * MB
    peak_kb = int((desk.root / "peak").read_text().split()[1])
    assert peak_kb < 64 * 1024


@pytest.mark.spec("F15", "I2")
def test_what_is_within_the_limit_is_kept_as_it_is(desk: Desk) -> None:
    desk.shell(rf"printf '\000\377\033[31m no newline'; printf 'e\n' >&2; {OK}")

    run = desk.accept()
    reply = desk.reply(run)

    content = b"\x00\xff\x1b[31m no newline"
    assert reply.stdout == Output(size=len(content), content=content)
    assert reply.stderr == Output(size=2, content=b"e\n")
    assert (run.path / "stdout").read_bytes() == content


def test_a_program_that_writes_nothing_has_no_output(desk: Desk) -> None:
    desk.shell(OK)

    reply = desk.do()

    assert (reply.stdout, reply.stderr) == (None, None)


@pytest.mark.spec("F1", "F15", "I2")
def test_an_adopted_program_writes_on_where_it_was(desk: Desk) -> None:
    desk.shell(
        f"echo one; until [ -e {desk.root}/go ]; do sleep 0.02; done; echo two; {OK}; sleep 0.1"
    )
    run = desk.accept()
    desk.drive(lambda: (run.path / "stdout").exists() and (run.path / "stdout").stat().st_size)
    holder = run.holder()
    assert holder is not None

    os.kill(holder.pid, signal.SIGKILL)
    (desk.root / "go").touch()
    reply = desk.reply(run)

    assert reply.stdout == Output(size=8, content=b"one\ntwo\n")
