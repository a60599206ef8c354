"""Versioned: a program of ours that takes itself for another version.

VERSIONED_PROGRAM=node VERSIONED_AS=99.0 python -m tests.faults.versioned --config SETTINGS
"""

import importlib
import os
import sys
from importlib import metadata
from typing import Any

PROGRAM, VERSION = "VERSIONED_PROGRAM", "VERSIONED_AS"


def main() -> int:
    """Be the program; its exit status."""
    true = metadata.version
    metadata.version = lambda name: os.environ[VERSION] if name == "fleetjobs" else true(name)
    program: Any = importlib.import_module(f"fleetjobs.programs.{os.environ[PROGRAM]}")
    return int(program.main(sys.argv[1:]) or 0)


if __name__ == "__main__":
    sys.exit(main())
