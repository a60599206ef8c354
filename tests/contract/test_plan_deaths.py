"""Plans whose coordinator dies at every step of every transition end as they would otherwise."""

from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import event, given, settings

from fleetjobs.control.jobs import Control
from fleetjobs.crashpoints import CrashPoint
from fleetjobs.declarations import Undo
from fleetjobs.jobs import JobId
from fleetjobs.plans.documents import Group, Need, OnFailure, Pace, Plan, RetryMode
from fleetjobs.plans.shapes import arrange, leg_id
from fleetjobs.rollouts import Rollout
from fleetjobs.states import Rollback, StartIf, State
from fleetjobs.store.database import Database
from fleetjobs.store.plans import list_legs
from tests.contract.test_plan_models import Model, mostly_good, plans, quick, reversible
from tests.contract.test_plan_models import ends as ends_of_runs
from tests.contract.test_store_rollbacks import BackDesk
from tests.dying import Fate, Nodes, World
from tests.makers import Clock, add_org, enroll, new_id
from tests.plans import make_leg, make_plan_request
from tests.tables import sqlite_url

NODES = ("n1", "n2", "n3")
BAD = "bad"  #: a leg that always fails
POINTS: tuple[CrashPoint, ...] = (
    "dispatcher_after_publish",
    "collector_before_commit",
    "collector_after_commit",
)
HALF = Undo(action="echo", data={"text": "no ${data.text}"}, partial=True)


def need(leg: str, when: str = "succeeded", pace: Pace = Pace.NODE) -> tuple[Need, ...]:
    return (Need(leg=leg, when=StartIf(when), pace=pace),)


FORWARD = Plan(
    groups=(Group(key="heads", max_failures="1"),),
    legs=(
        make_leg("first", *NODES),
        make_leg("own_pace", *NODES, needs=need("first")),
        make_leg("together", *NODES, needs=need("own_pace", pace=Pace.BARRIER)),
        make_leg("head1", "n1", group="heads", needs=need("first")),
        make_leg("head2", "n2", group="heads"),
        make_leg("head_bad", "n2", group="heads"),
        make_leg("body", "n1", needs=need("heads")),
        make_leg("bad", "n2", needs=need("body"), retries=1),
        make_leg("rescue", "n2", needs=need("bad", "failed")),
        make_leg("never", *NODES, needs=need("bad")),
        make_leg("rolling", *NODES, needs=need("never", "always"), rollout=Rollout(batch="1")),
    ),
    max_failures="1",
)
BACK = Plan(
    legs=(
        make_leg("disk", *NODES, undo=HALF),
        make_leg("image", "n1", undo=HALF, needs=need("disk")),
        make_leg(
            "bad",
            "n1",
            undo=HALF,
            needs=need("image"),
            retries=1,
            retry_mode=RetryMode.ROLLBACK_TO,
            rollback_to=("image",),
        ),
    ),
    on_failure=OnFailure.ROLLBACK,
)
ROLLOUT = Plan(
    legs=(
        make_leg("all", *NODES, undo=HALF),
        make_leg("some_bad", *NODES, undo=HALF, needs=need("all"), rollout=Rollout(batch="1")),
    ),
    on_failure=OnFailure.ROLLBACK,
)
STUCK = Plan(
    legs=(
        make_leg("a", "n1", undo=Undo(action="echo", data={"text": "bad"})),
        make_leg("bad", "n1", needs=need("a")),
    ),
    on_failure=OnFailure.ROLLBACK,
    rollback_attempts=2,
)


class House:
    """Nodes with their keys, and plans that are carried out on them one after the other."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.keys = dict(zip(NODES, enroll(database, *NODES), strict=True))

    def carry_out(
        self, plan: Plan, fate: Fate, patch: pytest.MonkeyPatch, *, mortal: bool
    ) -> tuple[World, JobId]:
        clock = Clock()
        desk = BackDesk(Control(self.database, clock), clock)
        desk.beat(*NODES)
        world = World(desk, Nodes(self.keys, fate), mortal)
        made = desk.hand_in_plan(make_plan_request(plan=plan, id=new_id()))
        world.carry_out(made, patch)
        return world, made


def ends(world: World, plan: JobId) -> dict[str, object]:
    """How all of it ended: the plan, each leg, and each of its runs and their attempts."""
    desk = world.desk
    found = desk.job(plan)
    with desk.control.database.reading() as connection:
        parts = list_legs(connection, found, limit=100).items
    told: dict[str, object] = {"": (found.state, found.reason, found.tally, found.rollback)}
    for part in parts:
        runs = [(one.node, one.state, one.reason, one.attempt) for one in desk.runs(part.id)]
        told[part.leg or ""] = (part.state, part.reason, part.tally, part.percent, runs)
    return told


def on(world: World, node: str) -> list[str]:
    """What the node did, in order."""
    return [text for text, where in world.nodes.done if where == node]


def works(text: str, node: str, _time: int) -> bool:
    """Whether what the leg does there works, by its name."""
    return text != BAD and (text, node) not in {("head_bad", "n2"), ("some_bad", "n2")}


THERE_AND_BACK = [
    *("disk", "image", "bad"),
    *("no bad", "no image", "image", "bad"),  # another try
    *("no bad", "no image", "no disk"),  # and then all of it
]


@pytest.mark.spec("S4-06", "S4-08", "S4-09", "S4-11", "F6", "I3", "I7", "I8")
@pytest.mark.parametrize(
    ("plan", "end"),
    [
        pytest.param(FORWARD, (State.SUCCEEDED, None), id="forward"),
        pytest.param(BACK, (State.FAILED, Rollback.DONE), id="back"),
        pytest.param(ROLLOUT, (State.FAILED, Rollback.DONE), id="rollout"),
        pytest.param(STUCK, (State.PAUSED, None), id="stuck"),
    ],
)
def test_a_plan_ends_the_same_if_its_coordinator_dies_at_every_step(
    database: Database, monkeypatch: pytest.MonkeyPatch, plan: Plan, end: tuple[object, object]
) -> None:
    """And what nodes are asked for is the same, in the same order, and not once more."""
    house = House(database)
    calm, undisturbed = house.carry_out(plan, works, monkeypatch, mortal=False)

    world, disturbed = house.carry_out(plan, works, monkeypatch, mortal=True)

    told = ends(world, disturbed)
    assert told == ends(calm, undisturbed)
    found = world.desk.job(disturbed)
    assert (found.state, found.rollback) == end
    assert Counter(world.nodes.done) == Counter(calm.nodes.done)
    assert len(world.nodes.done) == len(world.nodes.replies)
    assert all(world.deaths[point] >= 4 for point in POINTS)
    if plan is BACK:
        assert on(world, "n1") == THERE_AND_BACK
        kinds = world.desk.kinds(disturbed)
        assert "job.running" not in kinds[kinds.index("job.reverting") :]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """For plans one after the other, on SQLite."""
    opened = Database.open(sqlite_url(tmp_path_factory.mktemp("deaths")))
    add_org(opened)
    yield House(opened)
    opened.close()


def to_be(plan: Plan, fates: list[State]) -> dict[tuple[str, str], State]:
    """How the runs of the plan's legs end, if they come to begin."""
    runs = [
        (placed.leg.key, node)
        for placed in arrange(plan).legs
        for node in (placed.leg.target.identities if placed.leg.target else ())
    ]
    return {run: fates[at % len(fates)] for at, run in enumerate(runs)}


def die_on_the_way(
    house: House, plan: Plan, fates: dict[tuple[str, str], State]
) -> tuple[World, JobId]:
    """Carry the plan out; what undoes legs works."""

    def works(text: str, node: str, _time: int) -> bool:
        return fates.get((text, node), State.SUCCEEDED) is State.SUCCEEDED

    with pytest.MonkeyPatch.context() as patch:
        world, made = house.carry_out(plan, works, patch, mortal=True)
    assert max(Counter(world.nodes.done).values()) == 1
    event(f"died {world.deaths.total() // 6 * 6} times or more")
    return world, made


@settings(quick, max_examples=10)
@given(plan=plans(), fates=ends_of_runs)
def test_any_plan_ends_as_the_model_says_though_its_coordinator_dies_at_every_step(
    many: House, plan: Plan, fates: list[State]
) -> None:
    model = Model(arrange(plan), to_be(plan, fates))
    model.settle()

    world, made = die_on_the_way(many, plan, model.fates)

    for (key, node), state in model.runs.items():
        assert world.desk.run(leg_id(made, key), node).state is state
    assert world.desk.job(made).state is model.plan()


@pytest.mark.spec("S4-09", "S4-11")
@settings(quick, max_examples=10)
@given(plan=plans(), fates=mostly_good)
def test_any_plan_undoes_what_it_did_once_though_its_coordinator_dies_at_every_step(
    many: House, plan: Plan, fates: list[State]
) -> None:
    plan = reversible(plan)

    world, made = die_on_the_way(many, plan, to_be(plan, fates))

    found = world.desk.job(made)
    done = {
        (leg.key, run.node)
        for leg in plan.legs
        for run in world.desk.runs(leg_id(made, leg.key))
        if run.state is State.SUCCEEDED
    }
    told = [(text, node) for text, node in world.nodes.done if text.startswith("no ")]
    undone = {(text.removeprefix("no "), node) for text, node in told}
    assert found.state.is_terminal
    assert undone == (done if found.rollback is Rollback.DONE else set())
    event(f"{found.state}, {len(undone) // 3 * 3} undone or more")
