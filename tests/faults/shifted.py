"""Shifted: a program of ours whose clock is off, by so many seconds as a file says at the time.

SHIFTED_PROGRAM=node SHIFTED_BY=FILE python -m tests.faults.shifted --config SETTINGS
"""

import importlib
import os
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tests.faults.parts import Part

PROGRAM, BY = "SHIFTED_PROGRAM", "SHIFTED_BY"


def shift(part: Part, by: timedelta) -> None:
    """Start it anew with another clock, or let the one it has jump."""
    if BY not in part.environment:
        program = part.module.rpartition(".")[2]
        file = part.settings.with_name(f"shifted.{part.name}")
        part.environment = {**part.environment, PROGRAM: program, BY: str(file)}
        part.module = "tests.faults.shifted"
        _write(part, by)
        part.restart()
    _write(part, by)


def _write(part: Part, by: timedelta) -> None:
    Path(part.environment[BY]).write_text(f"{by.total_seconds():f}")


def unshift(part: Part) -> None:
    """Start it anew as it was."""
    if BY in part.environment:
        part.module = f"fleetjobs.programs.{part.environment[PROGRAM]}"
        part.environment = {
            name: value for name, value in part.environment.items() if name not in {PROGRAM, BY}
        }
        part.restart()


def main() -> int:
    """Be the program; its exit status."""
    program: Any = importlib.import_module(f"fleetjobs.programs.{os.environ[PROGRAM]}")
    right, file = program.now, Path(os.environ[BY])

    def now() -> datetime:
        moment: datetime = right()
        return moment + timedelta(seconds=float(file.read_text() or 0))

    program.now = now
    return int(program.main(sys.argv[1:]) or 0)


if __name__ == "__main__":
    sys.exit(main())
