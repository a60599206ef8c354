"""A fleet on a clock of its own: it looks after itself, and does at night what it was asked."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from fleetjobs.clocks import VARIABLE
from fleetjobs.seeds.nightly import MAINTENANCE, SEEDS
from tests.fleets import run_fj, up
from tests.init_services import init_service
from tests.processes import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

Fj = Callable[..., str]


@pytest.fixture(scope="module")
def fj(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fj]:
    """Run a command line on a fleet of one node that goes by a clock of its own."""
    place = tmp_path_factory.mktemp("fleet")

    def call(*args: str) -> str:
        return run_fj(place / "state", *args).stdout.strip()

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(place / "clock"))
        with up(place / "state", "--nodes=1"):
            yield call


@pytest.fixture(scope="module")
def nights() -> Iterator[str]:
    """The dates to come: each test has a night of its own, and the clock never goes back."""
    return (f"{datetime.now(UTC) + timedelta(days=days):%F}" for days in count(1))


def jobs(fj: Fj) -> list[dict[str, Any]]:
    """Those that nobody asked for."""
    found = json.loads(fj("job", "list", "--caller", MAINTENANCE, "-n", "100", "--json"))["items"]
    return [job for job in found if job["ended_at"] is not None]


@pytest.mark.spec("S2-01")
@pytest.mark.spec("S2-06")
def test_it_has_a_node_of_its_own_and_its_maintenance_runs(fj: Fj, nights: Iterator[str]) -> None:
    """A night passes in a moment; what is weekly may not have come."""
    uptime = json.loads(fj("rpc", "system", "uptime", "-I", "@controller", "--json"))
    assert [reply["sender"] for reply in uptime["replies"]] == ["@controller"]
    pings = json.loads(fj("rpc", "rpcutil", "ping", "--json"))["replies"]
    assert [reply["sender"] for reply in pings] == ["node1"]

    fj("clock", "set", f"{next(nights)}T04:30:00Z")

    assert wait_for(lambda: len(jobs(fj)) >= len(SEEDS) - 1, within=120.0)
    assert {job["state"] for job in jobs(fj)} == {"succeeded"}
    assert {job["template_label"] for job in jobs(fj)} >= {"prune-history", "check-disk"}


@pytest.mark.spec("S0-14")
def test_a_service_is_restarted_at_four_in_the_morning(
    fj: Fj, nights: Iterator[str], tmp_path: Path
) -> None:
    """A real service, by the agent that comes with fleetjobs."""
    night = next(nights)
    with init_service(tmp_path) as name:
        fj("rpc", "service", "start", f"name={name}")
        first = (tmp_path / "pid").read_text()
        job = fj("submit", "service", "restart", f"name={name}", "--at", f"{night}T04:00Z")
        assert json.loads(fj("job", "show", job, "--json"))["state"] == "scheduled"

        fj("clock", "set", f"{night}T04:00:30Z")
        fj("job", "wait", job)

        assert (tmp_path / "pid").read_text() != first
