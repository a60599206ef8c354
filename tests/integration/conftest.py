"""Fixtures: a fleet for the tests of a module, and its command line."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fleets import run_fj, up

Fj = Callable[..., str]


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The directory of a fleet of three nodes; a module that needs another one has its own."""
    place = tmp_path_factory.mktemp("fleet")
    with up(place, "--nodes", "3"):
        yield place


@pytest.fixture
def fj(state: Path) -> Fj:
    """Run a command line on it: what it printed, or said. Fails unless it ends with `code`."""

    def call(*args: str, code: int = 0) -> str:
        done = run_fj(state, *args, code=code)
        return done.stdout.strip() or done.stderr.strip()

    return call
