"""Commands: run the tools that make volumes and guests."""

import json
import os
import subprocess
import sys
import tempfile
from typing import Any

from fleetjobs.agent import Fail

MOST_OUTPUT = 64 * 1024  #: bytes of a command's output that are looked at


class Refused(Fail):
    """A tool ended with an error, and its words."""


def run(*argv: str, cwd: str | None = None, timeout_s: float | None = None) -> str:
    """Run a tool to its end; what it wrote to standard output.

    Raises Refused with its words, or Fail if it cannot be started or is over its time. It knows
    nothing of this run, so that a guest it leaves behind is not taken for a part of it.
    """
    # files, not pipes: a guest may keep them open
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as complaints:
        try:
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=complaints,
                cwd=cwd,
                env=_environment(),
                timeout=timeout_s,
                check=False,
            )
        except OSError as error:
            raise Fail(f"{argv[0]} cannot be run: {error.strerror}") from None
        except subprocess.TimeoutExpired:
            raise Fail(f"{argv[0]} took longer than {timeout_s:g} s") from None
        output.seek(0)
        complaints.seek(0)
        words = complaints.read(MOST_OUTPUT).decode(errors="replace")
        sys.stderr.write(words)
        if done.returncode:
            said = "; ".join(line.strip() for line in words.splitlines() if line.strip())
            raise Refused(f"{argv[0]} ended with {done.returncode}: {said[-500:]}")
        return output.read(MOST_OUTPUT).decode(errors="replace")


def ask(*argv: str) -> dict[str, Any]:
    """Run a tool that answers in JSON. Raises Fail."""
    answer = run(*argv)
    try:
        told: dict[str, Any] = json.loads(answer)
    except ValueError:
        raise Fail(f"{argv[0]} answered {answer[:100]!r}, which is no JSON") from None
    return told


def _environment() -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("FLEETJOBS_")}
    return {**own, "LC_ALL": "C.UTF-8"}  # we read what they write
