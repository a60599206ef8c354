"""Fleets for tests: `up` as a person would start it, in a directory of its own."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

LAST_LINE = "ctrl-C stops it"


@contextmanager
def up(state: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A fleet that is ready, on free ports and without Flower; ended at the end."""
    argv = [sys.executable, "-m", "fleetjobs.programs.up", "--state", str(state)]
    process = subprocess.Popen(
        [*argv, "--port=0", "--no-flower", *options], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process:
        try:
            for line in process.stdout:
                if line.startswith(LAST_LINE):
                    break
            else:
                pytest.fail(f"up ended with {process.wait()}: {logs(state)}")
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.stdout.read()


def run_fj(
    state: Path, *arguments: str, code: int = 0, within: float = 120.0
) -> subprocess.CompletedProcess[str]:
    """A command line on that fleet, when it has ended; with `code`, or the test fails."""
    argv = [sys.executable, "-m", "fleetjobs.cli.start", "--config", str(state / "client.toml")]
    done = subprocess.run(
        [*argv, *arguments], capture_output=True, text=True, timeout=within, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def logs(state: Path) -> str:
    """The ends of all logs, for whoever has to find out."""
    return "\n".join(
        f"== {path.name}\n{path.read_text(errors='replace')[-800:]}"
        for path in sorted((state / "logs").glob("*.log"))
    )
