"""A desk with real processes; what a test leaves behind is ended with it."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from fleetjobs.node.process import is_alive, signal_tree
from tests.workbench import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.close()
    for run in desk.spool.runs():
        signal_tree(None, f"FLEETJOBS_REQUEST={run.path / 'request.json'}", signal.SIGKILL)
    for run in desk.spool.unsettled():
        program = run.program()
        holders = [run.holder(), program.holder if program else None]
        for holder in holders:
            if holder is not None and is_alive(holder):
                with suppress(ProcessLookupError):
                    os.kill(holder.pid, signal.SIGKILL)
