"""A desk with real processes; what a test leaves behind is ended with it."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from fleetjobs.node.process import is_alive
from tests.workbench import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.close()
    end_below(tmp_path)
    for run in desk.spool.unsettled():
        program = run.program()
        holders = [run.holder(), program.holder if program else None]
        for holder in holders:
            if holder is not None and is_alive(holder):
                with suppress(ProcessLookupError):
                    os.kill(holder.pid, signal.SIGKILL)


def end_below(root: Path) -> None:
    """Kill whatever a program started that was called from there."""
    names = ("FLEETJOBS_REQUEST", "CHORIA_EXTERNAL_REQUEST", "MCOLLECTIVE_REQUEST_FILE")
    marks = [f"{name}={root}/".encode() for name in names]
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            held = environment.read_bytes()
            if any(mark in held for mark in marks):
                os.kill(int(environment.parent.name), signal.SIGKILL)
