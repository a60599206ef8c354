"""Plans while coordinator and server are killed: they end as they would have without that."""

from collections.abc import Callable
from itertools import cycle
from typing import get_args

import pytest

from fleetjobs.client.jobs import new_id
from fleetjobs.client.plans import PlanJob, make_plan, submit_plan
from fleetjobs.crashpoints import CrashPoint
from fleetjobs.declarations import Undo
from fleetjobs.errors import ServerAway
from fleetjobs.plans.documents import Group, Leg, Need, OnFailure, Pace, Plan, RetryMode
from fleetjobs.rollouts import Rollout
from fleetjobs.states import StartIf
from fleetjobs.targets import Target
from tests.faults.fleet import Fleet
from tests.faults.oracle import END, START, counts, read_marks
from tests.faults.shares import ONE_STACK
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
            mark(
                fleet,
                "last",
                needs=(need("nor_this", "always"), need("together", "always")),
                rollout=Rollout(batch="1"),
            ),
        ),
        max_failures="1",
    )


def hand_in(fleet: Fleet, plan: Plan, name: str | None = None) -> PlanJob:
    client = fleet.client()
    return PlanJob(client, submit_plan(client, make_plan(plan), name=name))


def ends(plan: PlanJob) -> dict[str, object]:
    """How all of it ended: the plan, each leg, and each of its runs."""
    found: dict[str, object] = {"": [*stands(plan), plan.document["tally"]]}
    for leg in plan.legs():
        runs = plan.runs_of(leg["id"]) if leg["kind"] == "action" else []
        found[leg["key"]] = [
            *(leg[name] for name in ("state", "reason", "completion", "tally", "percent_complete")),
            *([run["node"], run["state"], run["reason"], run["attempt"]] for run in runs),
        ]
    return found


def stands(plan: PlanJob) -> list[object]:
    """How the plan stands, and its way back."""
    return [plan.document[name] for name in ("state", "reason", "rollback")]


def has_ended(plan: PlanJob) -> bool:
    return plan.state.is_terminal


def undo(fleet: Fleet, key: str) -> Undo:
    """Leaves a mark that it was undone."""
    data = {"file": str(fleet.marks), "text": f"no {key}"}
    return Undo(action="mark", data=data, partial=True)


def there_and_back(fleet: Fleet) -> Plan:
    """A leg, one that fails, and the way back."""
    one = fleet.nodes[0]
    fail = {"action": "fail", "data": {"times": 99}}
    return Plan(
        legs=(
            mark(fleet, "disk", one, undo=undo(fleet, "disk")),
            mark(fleet, "broken", one, needs=(need("disk"),), **fail),
        ),
        on_failure=OnFailure.ROLLBACK,
    )


def back_and_forth(fleet: Fleet) -> Plan:
    """A leg whose next try undoes others first, and then one that takes all of it back."""
    one = fleet.nodes[0]
    again = {"retries": 3, "retry_mode": RetryMode.ROLLBACK_TO, "rollback_to": ("image",)}
    shaky = {"action": "fail", "data": {"times": 1}, "undo": undo(fleet, "shaky")}
    return Plan(
        legs=(
            mark(fleet, "disk", undo=undo(fleet, "disk"), retries=3),
            mark(fleet, "image", one, needs=(need("disk"),), undo=undo(fleet, "image"), retries=3),
            mark(fleet, "shaky", one, needs=(need("image"),), **shaky, **again),
            mark(fleet, "broken", one, needs=(need("shaky"),), action="fail", data={"times": 99}),
        ),
        on_failure=OnFailure.ROLLBACK,
        rollback_attempts=5,
    )


def what_happened(fleet: Fleet) -> list[str]:
    """What the first node did to its end, in order."""
    ended = [one for one in read_marks(fleet.marks) if one.word == END]
    return [one.text for one in ended if one.attempt.node == fleet.nodes[0]]


@ONE_STACK
@pytest.mark.spec("S4-06", "S4-08", "S4-11", "F6", "I3", "I7")
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "shape",
    [
        there_and_back,
        pytest.param(every_shape, marks=pytest.mark.long),
        pytest.param(back_and_forth, marks=pytest.mark.long),
    ],
)
def test_a_plan_ends_the_same_whenever_the_coordinator_is_killed(
    fleet: Fleet, shape: Callable[[Fleet], Plan]
) -> None:
    """Killed at every step of every transition, one after the other, until there is none left."""
    undisturbed = hand_in(fleet, shape(fleet))
    wait_for(lambda: has_ended(undisturbed), within=60.0)
    wanted = what_happened(fleet)
    fleet.marks.unlink()

    coordinator = fleet.coordinator
    coordinator.kill()
    plan = hand_in(fleet, shape(fleet))
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
    if shape is not every_shape:  # there, legs are at work beside one another
        assert what_happened(fleet) == wanted


NOT_ON_ITS_WAY = {"after_seen", "after_fence", "before_stop", "between_deliveries"}  # of a plan
OF_NODES = [
    point
    for point in get_args(CrashPoint)
    if not point.startswith(("control_", "dispatcher_", "collector_", "scheduler_"))
    and point not in NOT_ON_ITS_WAY
]


@ONE_STACK
@pytest.mark.spec("S4-06", "S4-11", "F1", "I3", "I7")
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "point",
    [
        point if point == "after_outbox" else pytest.param(point, marks=pytest.mark.long)
        for point in OF_NODES
    ],
)
def test_a_plan_goes_back_the_same_whenever_the_node_is_killed(
    fleet: Fleet, point: CrashPoint
) -> None:
    """Again and again, as long as it makes a difference: what was cut short is tried again."""
    worker = fleet.worker(fleet.nodes[0])
    worker.kill()
    plan = hand_in(fleet, back_and_forth(fleet))
    for _ in range(2):
        worker.start(point)
        wait_for(
            lambda: has_ended(plan) or (worker.bomb is not None and worker.bomb.exists()),
            within=60.0,
        )
        worker.kill()
    worker.start()
    wait_for(lambda: has_ended(plan), within=120.0)  # after half a minute, if both cost it a try

    assert stands(plan) == ["failed", "legs_failed", "done"]
    states = {leg["key"]: leg["state"] for leg in plan.legs() if leg["kind"] == "action"}
    assert {key for key, state in states.items() if state != "succeeded"} == {"broken"}
    undone = [key for key in what_happened(fleet) if key.startswith("no ")]
    assert undone[-3:] == ["no shaky", "no image", "no disk"]
    begun = counts(read_marks(fleet.marks))
    assert all(found[START] == 1 for found in begun.values())


@ONE_STACK
@pytest.mark.spec("G1", "F6", "I1")
@pytest.mark.parametrize(
    "point", ["control_before_commit", pytest.param("control_after_commit", marks=pytest.mark.long)]
)
def test_a_plan_is_whole_or_not_there_when_the_server_is_killed(
    fleet: Fleet, point: CrashPoint
) -> None:
    """The client asks again in the same words, and it is one plan with all its legs."""
    fleet.server.restart(point)
    fleet.wait_for_server()
    wanted, name = there_and_back(fleet), new_id()

    with pytest.raises(ServerAway):
        hand_in(fleet, wanted, name)
    fleet.server.bury()
    fleet.server.start()
    fleet.wait_for_server()
    plan = hand_in(fleet, wanted, name)
    wait_for(lambda: has_ended(plan), within=60.0)

    assert [leg["key"] for leg in plan.legs()] == ["disk", "broken", "undo", "undo:disk"]
    begun = counts(read_marks(fleet.marks))
    assert all(found[START] == 1 for found in begun.values())
