"""Plans while coordinator and server are killed: they end as they would have without that."""

from itertools import cycle

import pytest

from fleetjobs.client.jobs import new_id
from fleetjobs.client.plans import PlanJob, make_plan, submit_plan
from fleetjobs.crashpoints import CrashPoint
from fleetjobs.errors import ServerAway
from fleetjobs.plans.documents import Group, Leg, Need, Pace, Plan
from fleetjobs.states import StartIf
from fleetjobs.targets import Target
from tests.faults.fleet import Fleet
from tests.faults.oracle import START, counts, read_marks
from tests.processes import wait_for

POINTS: tuple[CrashPoint, ...] = (
    "dispatcher_after_publish",
    "collector_before_commit",
    "collector_after_commit",
)


def mark(fleet: Fleet, key: str, *nodes: str, needs: tuple[Need, ...] = (), **more: object) -> Leg:
    """A leg that leaves a mark on these nodes."""
    data = {"file": str(fleet.marks), "text": key}
    target = Target(identities=nodes or fleet.nodes)
    fields = {"key": key, "agent": "demo", "action": "mark", "data": data, "target": target}
    return Leg(**fields | {"needs": needs} | more)  # type: ignore[arg-type]


def need(leg: str, when: str = "succeeded", pace: Pace = Pace.NODE) -> Need:
    return Need(leg=leg, when=StartIf(when), pace=pace)


def every_shape(fleet: Fleet) -> Plan:
    """Chains per node and at a barrier, a chord, a failure with its rescue, and what is skipped."""
    one, two = fleet.nodes[:2]
    fail = {"action": "fail", "data": {"times": 99}}
    return Plan(
        groups=(Group(key="heads", max_failures="1"),),
        legs=(
            mark(fleet, "first"),
            mark(fleet, "own_pace", needs=(need("first"),)),
            mark(fleet, "together", needs=(need("own_pace", pace=Pace.BARRIER),)),
            mark(fleet, "head1", one, group="heads", needs=(need("first"),)),
            mark(fleet, "head2", two, group="heads"),
            mark(fleet, "head3", two, group="heads", **fail),
            mark(fleet, "body", one, needs=(need("heads"),)),
            mark(fleet, "broken", two, needs=(need("body"),), **fail),
            mark(fleet, "rescue", two, needs=(need("broken", "failed"),)),
            mark(fleet, "never", needs=(need("broken"),)),
            mark(fleet, "nor_this", needs=(need("never"),)),
            mark(fleet, "last", needs=(need("nor_this", "always"), need("together", "always"))),
        ),
        max_failures="1",
    )


def hand_in(fleet: Fleet, plan: Plan, name: str | None = None) -> PlanJob:
    client = fleet.client()
    return PlanJob(client, submit_plan(client, make_plan(plan), name=name))


def ends(plan: PlanJob) -> dict[str, object]:
    """How all of it ended: the plan, each leg, and each of its runs."""
    found: dict[str, object] = {"": [plan.document[name] for name in ("state", "reason", "tally")]}
    for leg in plan.legs():
        runs = plan.runs_of(leg["id"]) if leg["kind"] == "action" else []
        found[leg["key"]] = [
            *(leg[name] for name in ("state", "reason", "completion", "tally", "percent_complete")),
            *([run["node"], run["state"], run["reason"], run["attempt"]] for run in runs),
        ]
    return found


def has_ended(plan: PlanJob) -> bool:
    return plan.state.is_terminal


@pytest.mark.spec("S4-06", "F6", "I3", "I7")
@pytest.mark.timeout(300)
def test_a_plan_ends_the_same_whenever_the_coordinator_is_killed(fleet: Fleet) -> None:
    """Killed at every step of every transition, one after the other, until there is none left."""
    undisturbed = hand_in(fleet, every_shape(fleet))
    wait_for(lambda: has_ended(undisturbed), within=60.0)
    fleet.marks.unlink()

    coordinator = fleet.coordinator
    coordinator.kill()
    plan = hand_in(fleet, every_shape(fleet))
    deaths = 0
    for point in cycle(POINTS):
        coordinator.start(point)
        wait_for(lambda: not coordinator.is_alive or has_ended(plan), within=60.0)
        if coordinator.is_alive:
            break
        coordinator.bury()
        deaths += 1
    coordinator.restart()

    assert deaths >= 2 * len(POINTS)
    assert ends(plan) == ends(undisturbed)
    begun = counts(read_marks(fleet.marks))
    assert all(found[START] == 1 for found in begun.values())


@pytest.mark.spec("G1", "F6", "I1")
@pytest.mark.parametrize("point", ["control_before_commit", "control_after_commit"])
def test_a_plan_is_whole_or_not_there_when_the_server_is_killed(
    fleet: Fleet, point: CrashPoint
) -> None:
    """The client asks again in the same words, and it is one plan with all its legs."""
    fleet.server.restart(point)
    fleet.wait_for_server()
    wanted, name = every_shape(fleet), new_id()

    with pytest.raises(ServerAway):
        hand_in(fleet, wanted, name)
    fleet.server.bury()
    fleet.server.start()
    fleet.wait_for_server()
    plan = hand_in(fleet, wanted, name)
    wait_for(lambda: has_ended(plan), within=60.0)

    assert len(plan.legs()) == len(wanted.legs) + len(wanted.groups)
    begun = counts(read_marks(fleet.marks))
    assert all(found[START] == 1 for found in begun.values())
