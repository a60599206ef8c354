"""Rollouts while the coordinator is killed and nodes go: by what the action itself wrote."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from uuid_utils import uuid7

from fleetjobs.crashpoints import CrashPoint
from fleetjobs.documents import encode
from fleetjobs.programs.premises import ACCOUNT, ORG
from fleetjobs.requests import Request
from fleetjobs.rollouts import Rollout
from fleetjobs.signing import SigningKey, account_key_id
from fleetjobs.states import TERMINAL, State
from fleetjobs.targets import Target
from tests.conftest import refuse_or_skip
from tests.faults.caller import JOSE
from tests.faults.fleet import Fleet, raise_fleet
from tests.faults.oracle import START, read_marks
from tests.processes import ServerMissing, wait_for

pytestmark = [pytest.mark.spec("I8", "F18"), pytest.mark.long, pytest.mark.timeout(400)]
NODES = 6
BATCH = 2
PATIENT_S = 120.0


@pytest.fixture(scope="module")
def rolled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A fleet of six."""
    try:
        with raise_fleet(tmp_path_factory.mktemp("rollouts"), "redis-sqlite", NODES) as fleet:
            yield fleet
    except ServerMissing as missing:
        refuse_or_skip(str(missing))


@pytest.fixture
def fleet(rolled: Fleet) -> Iterator[Fleet]:
    """The same fleet with nothing done yet, and healed afterwards."""
    rolled.marks.unlink(missing_ok=True)
    yield rolled
    rolled.heal()


def roll(fleet: Fleet, *bad: str, seconds: float = 2.0, **rollout: Any) -> str:
    """A job that goes over the fleet in twos and fails on bad nodes."""
    request = Request(
        id=str(uuid7()),
        org=ORG,
        caller=ACCOUNT,
        agent="stubborn",
        action="roll",
        data={"file": str(fleet.marks), "seconds": seconds, "bad": list(bad)},
        target=Target(identities=fleet.nodes),
        created_at=datetime.now(UTC),
        rollout=Rollout(**{"batch": str(BATCH)} | rollout),
    )
    key = SigningKey.load(account_key_id(ACCOUNT), fleet.premises.account_key)
    fleet.client().transport.post(
        "jobs", body=key.seal(encode(request)).encode(), content_type=JOSE
    )
    return request.id


def begun(fleet: Fleet) -> list[str]:
    """The nodes on which it began, in that order."""
    return [mark.attempt.node for mark in read_marks(fleet.marks) if mark.word == START]


def most_at_once(fleet: Fleet) -> int:
    """How many were at work at most."""
    running = most = 0
    for mark in read_marks(fleet.marks):
        running += 1 if mark.word == START else -1
        most = max(most, running)
    return most


def wait_until_begun(fleet: Fleet, count: int) -> None:
    """Return when so many nodes have begun."""
    wait_for(lambda: len(begun(fleet)) >= count, within=PATIENT_S, every=0.05)


def wait(fleet: Fleet, job: str) -> dict[str, Any]:
    """The job when it has ended."""
    wait_for(lambda: fleet.client().job(job)["state"] in TERMINAL, within=PATIENT_S, every=0.2)
    return fleet.client().job(job)


def states(fleet: Fleet, job: str) -> dict[str, str]:
    """How its runs ended, by node."""
    return {run["node"]: run["state"] for run in fleet.client().runs(job)}


@pytest.mark.parametrize("point", ["collector_before_commit", "collector_after_commit"])
def test_a_coordinator_killed_at_the_threshold_lets_nothing_further_begin(
    fleet: Fleet, point: CrashPoint
) -> None:
    job = roll(fleet, "node1", "node2", seconds=8.0, max_failures="1")
    wait_until_begun(fleet, BATCH)

    fleet.coordinator.restart(point)
    fleet.coordinator.blow(PATIENT_S)
    fleet.coordinator.bury()
    fleet.coordinator.start()
    found = wait(fleet, job)

    assert (found["state"], found["rollout"]["phase"]) == (State.FAILED, "stopped")
    assert sorted(begun(fleet)) == ["node1", "node2"]
    assert most_at_once(fleet) <= BATCH
    ends = states(fleet, job)
    assert {ends[node] for node in fleet.nodes[BATCH:]} == {State.SKIPPED}


@pytest.mark.parametrize(
    "point",
    ["collector_before_commit", "collector_after_commit", "dispatcher_after_publish"],
)
def test_a_coordinator_killed_between_batches_starts_each_node_once(
    fleet: Fleet, point: CrashPoint
) -> None:
    job = roll(fleet, seconds=4.0)
    for count in (BATCH, 2 * BATCH):
        wait_until_begun(fleet, count)
        fleet.coordinator.restart(point)
        fleet.coordinator.blow(PATIENT_S)
        fleet.coordinator.bury()
        fleet.coordinator.start()
    found = wait(fleet, job)

    assert found["state"] == State.SUCCEEDED
    assert sorted(begun(fleet)) == sorted(fleet.nodes)
    assert most_at_once(fleet) <= BATCH


def test_nodes_that_are_away_or_lost_count_and_never_begin_later(fleet: Fleet) -> None:
    """One is down when its turn comes, one falls silent at work: with them the budget is spent."""
    fleet.worker("node1").kill()
    job = roll(fleet, seconds=1.0, max_failures="1", reach_s=5)
    wait_until_begun(fleet, BATCH + 1)
    assert states(fleet, job)["node1"] == State.FAILED
    fleet.worker("node1").start()
    found = wait(fleet, job)

    assert (found["state"], found["completion"]) == (State.SUCCEEDED, "partial")
    assert sorted(begun(fleet)) == sorted(set(fleet.nodes) - {"node1"})

    fleet.heal()
    fleet.marks.unlink()
    job = roll(fleet, seconds=1.0, batch="1", reach_s=30)
    wait_until_begun(fleet, 1)
    fleet.worker("node1").pause()
    found = wait(fleet, job)

    assert (found["state"], found["reason"]) == (State.FAILED, "runs_failed")
    assert begun(fleet) == ["node1"]
