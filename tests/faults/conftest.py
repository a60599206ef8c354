"""Fleets to break: one for each stack and test process, healed and checked after each test."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.conftest import refuse_or_skip
from tests.faults.caller import Caller
from tests.faults.fleet import STACKS, Fleet, raise_fleet
from tests.processes import ServerMissing


class Yard:
    """The fleets of this test process; one that would not heal is replaced."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        """None yet: many runs of the tests need none."""
        self._factory = factory
        self._fleets: dict[str, tuple[ExitStack, Fleet]] = {}

    def fleet(self, stack: str) -> Fleet:
        """The fleet on that stack. Raises ServerMissing."""
        if stack not in self._fleets:
            opened = ExitStack()
            root = self._factory.mktemp(stack)
            self._fleets[stack] = (opened, opened.enter_context(raise_fleet(root, stack)))
        return self._fleets[stack][1]

    def scrap(self, stack: str) -> None:
        """Have the next test get another."""
        if stack in self._fleets:
            self._fleets.pop(stack)[0].close()


@pytest.fixture(scope="session")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    """Where the fleets stand between tests."""
    yard = Yard(tmp_path_factory)
    yield yard
    for stack in STACKS:
        yard.scrap(stack)


@pytest.fixture(params=STACKS)
def fleet(request: pytest.FixtureRequest, yard: Yard) -> Iterator[Fleet]:
    """A fleet on each stack in turn; all its parts run."""
    try:
        fleet = yard.fleet(request.param)
    except ServerMissing as missing:
        refuse_or_skip(str(missing))
    fleet.marks.unlink(missing_ok=True)
    yield fleet
    if request.node.stash.get(FAILED, False):
        sys.stdout.write(fleet.say())
        yard.scrap(request.param)


FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Note a failure where the fixture sees it: who knows what state the fleet is in."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]  # of pluggy
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed


@pytest.fixture
def caller(fleet: Fleet) -> Caller:
    """Who asks the fleet."""
    return Caller(fleet)
