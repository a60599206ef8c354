"""Plans of any shape, whatever happens to them, end as a small model of the semantics says."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from fleetjobs.control.jobs import Control
from fleetjobs.declarations import Undo
from fleetjobs.errors import Conflict
from fleetjobs.names import JobId, NodeId
from fleetjobs.plans.documents import Group, Leg, Need, OnFailure, Pace, Plan
from fleetjobs.plans.shapes import Shape, arrange, leg_id
from fleetjobs.plans.undoing import undoing_id
from fleetjobs.states import MOVES, StartIf, State
from fleetjobs.store.database import Database
from fleetjobs.store.events import list_events
from fleetjobs.targets import Target
from tests.desk import WHO, answer_to
from tests.makers import NOW, Clock, add_org, enroll, make_reply, new_id
from tests.plans import PlanDesk, make_leg, make_plan_request

NODES = ("n1", "n2", "n3")
LATER = timedelta(hours=2)
BAD = {State.FAILED, State.CANCELLED, State.EXPIRED}
Run = tuple[str, str]  # leg, node


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """One for all examples: each makes plans of its own."""
    path: Path = tmp_path_factory.mktemp("plans") / "fleetjobs.sqlite"
    opened = Database.open(f"sqlite:///{path}")
    opened.migrate()
    add_org(opened)
    enroll(opened, *NODES)
    yield opened
    opened.close()


some_nodes = st.lists(st.sampled_from(NODES), min_size=1, max_size=3, unique=True)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """A plan of up to seven legs, some in groups, that need legs and groups before them."""
    count = draw(st.integers(1, 7))
    keys = [f"l{number}" for number in range(count)]
    groups = [f"g{number}" for number in range(draw(st.integers(0, 2)))]
    where = [draw(st.sampled_from([None, *groups])) for _ in keys]
    used = sorted({group for group in where if group is not None})
    legs: list[Leg] = []
    for at, key in enumerate(keys):
        over = [one for one in used if all(where[later] != one for later in range(at, count))]
        before = [*keys[:at], *over]
        named = draw(st.lists(st.sampled_from(before), max_size=2, unique=True)) if before else []
        needs = tuple(
            Need(leg=one, when=draw(st.sampled_from(StartIf)), pace=draw(st.sampled_from(Pace)))
            for one in named
        )
        legs.append(
            make_leg(
                key,
                *draw(some_nodes),
                group=where[at],
                needs=needs,
                max_failures=draw(st.sampled_from(["0", "0", "1"])),
                on_failure=draw(st.sampled_from([None, None, OnFailure.CONTINUE])),
            )
        )
    return Plan(
        legs=tuple(legs),
        groups=tuple(
            Group(key=group, max_failures=draw(st.sampled_from(["0", "1"]))) for group in used
        ),
        max_failures=draw(st.sampled_from(["0", "0", "1"])),
    )


#: how runs end that come to begin, in turn
ends = st.lists(st.sampled_from([State.SUCCEEDED] * 3 + [State.FAILED]), min_size=1, max_size=8)


@dataclass
class Model:
    """The semantics of plans in a few lines, without order, time or database."""

    shape: Shape
    fates: dict[Run, State]  # of runs that begin
    cancelled: set[str] = field(default_factory=set)  # legs that were called off in time
    runs: dict[Run, State] = field(default_factory=dict)
    jobs: dict[str, State] = field(default_factory=dict)

    def settle(self) -> None:
        """Let everything end."""
        left = list(self.shape.legs)
        while left:
            for placed in left:
                if all(self._is_over(need.leg) for need in placed.needs):
                    self._end(placed.leg, placed.needs)
                    left.remove(placed)
                    break
            else:
                raise AssertionError("the model is stuck")

    def _is_over(self, key: str) -> bool:
        inside = self.shape.members.get(key, (key,))
        return all(one in self.jobs or (one != key and self._is_over(one)) for one in inside)

    def _nodes(self, key: str) -> tuple[str, ...]:
        leg = next((one.leg for one in self.shape.legs if one.leg.key == key), None)
        return leg.target.identities if leg is not None and leg.target is not None else ()

    def _end(self, leg: Leg, needs: tuple[Need, ...]) -> None:
        assert leg.target is not None
        for node in leg.target.identities:
            if leg.key in self.cancelled:
                self.runs[leg.key, node] = State.CANCELLED
            elif all(self._meets(node, need) for need in needs):
                self.runs[leg.key, node] = self.fates[leg.key, node]
            else:
                self.runs[leg.key, node] = State.SKIPPED
        tally = Counter(self.runs[leg.key, node] for node in leg.target.identities)
        called_off = leg.key in self.cancelled
        self.jobs[leg.key] = end_of(tally, int(leg.max_failures), called_off=called_off)

    def _meets(self, node: str, need: Need) -> bool:
        there = self._nodes(need.leg)
        if need.pace is Pace.NODE and node in there:
            state = self.runs[need.leg, node]
        else:
            state = self.state(need.leg)
        if need.when in {StartIf.COMPLETED, StartIf.ALWAYS}:
            return True
        return state is (State.SUCCEEDED if need.when is StartIf.SUCCEEDED else State.FAILED)

    def state(self, key: str) -> State:
        """How a leg or a group ended."""
        if key in self.jobs:
            return self.jobs[key]
        group = next(one for one in self.shape.groups if one.key == key)
        return self._above(self.shape.members[key], int(group.max_failures))

    def _above(self, keys: tuple[str, ...], allowed: int, *, called_off: bool = False) -> State:
        states = {key: self.state(key) for key in keys}
        forgiven = {
            one.leg.key for one in self.shape.legs if one.leg.on_failure is OnFailure.CONTINUE
        }
        pardoned = sum(key in forgiven and state in BAD for key, state in states.items())
        tally = Counter(states.values())
        begun = any(
            state not in {State.SKIPPED, State.CANCELLED}
            for (leg, _), state in self.runs.items()
            if leg in self._inside(keys)
        )
        return end_of(tally, allowed, pardoned=pardoned, called_off=called_off, begun=begun)

    def _inside(self, keys: tuple[str, ...]) -> set[str]:
        """The legs among these, and in the groups among these."""
        found = set(keys)
        for key in keys:
            found |= self._inside(self.shape.members.get(key, ()))
        return found

    def plan(self, *, called_off: bool = False) -> State:
        """How the plan ended."""
        plan = self.shape.plan
        top = tuple(one.key for one in (*plan.groups, *plan.legs) if one.group is None)
        return self._above(top, int(plan.max_failures), called_off=called_off)


def end_of(
    tally: Counter[State],
    allowed: int,
    *,
    pardoned: int = 0,
    called_off: bool = False,
    begun: bool = False,
) -> State:
    """How that ends whose parts ended so: spec/semantics.md, One state machine."""
    bad = sum(tally[state] for state in BAD)
    if called_off and tally[State.CANCELLED]:
        return State.CANCELLED
    if bad - pardoned <= allowed:
        if tally[State.SUCCEEDED] or not tally[State.SKIPPED]:
            return State.SUCCEEDED
        if bad > pardoned:
            return State.FAILED
        return State.SUCCEEDED if bad or begun else State.SKIPPED
    return State.CANCELLED if tally[State.CANCELLED] else State.FAILED


class Story:
    """A plan at the desk, and what happens to it."""

    def __init__(self, database: Database, plan: Plan, fates: list[State], **changes: Any) -> None:
        clock = Clock()
        self.desk = PlanDesk(Control(database, clock), clock)
        self.desk.beat(*NODES)
        self.shape = arrange(plan)
        self.deal(fates)
        self.id = self.desk.hand_in_plan(make_plan_request(plan=plan, id=new_id(), **changes))
        self.open: list[tuple[JobId, NodeId]] = []

    def deal(self, fates: list[State]) -> None:
        """Say how each run is to end, in turn."""
        runs = [
            (one.leg.key, node)
            for one in self.shape.legs
            for node in (one.leg.target.identities if one.leg.target else ())
        ]
        self.fates = {run: fates[at % len(fates)] for at, run in enumerate(runs)}

    def hand_over(self) -> None:
        """Let nodes have what is due; nothing may come that is not free to."""
        self.open += [(JobId(job), NodeId(node)) for job, node, *_ in self.desk.hand_over()]

    def play(self, script: list[int]) -> None:
        """Hand over at odd numbers, have replies come at even ones."""
        for number in script:
            if number % 2:
                self.hand_over()
            else:
                self.reply(number)

    def reply(self, number: int) -> None:
        """One or several of the runs that nodes have end as they are to."""
        if not self.open:
            return
        names = {leg_id(self.id, one.leg.key): one.leg.key for one in self.shape.legs}
        chosen = [self.open.pop(number % len(self.open))]
        while self.open and number % 3 == 0 and len(chosen) < 4:
            chosen.append(self.open.pop())
        replies = []
        for job, node in chosen:
            end = self.fates[names[job], node]
            code = 0 if end is State.SUCCEEDED else 1
            replies.append(make_reply(job, node, state=end, statuscode=code))
        self.desk.say(*replies)

    def check(self) -> None:
        """Tallies, counts and percentages agree with the parts at any time."""
        keys = [one.key for one in (*self.shape.plan.groups, *self.shape.plan.legs)]
        for key in (None, *keys):
            job = self.desk.job(self.id) if key is None else self.desk.leg(self.id, key)
            parts = [
                self.desk.leg(self.id, one.key)
                for one in (*self.shape.plan.groups, *self.shape.plan.legs)
                if one.group == key
            ]
            if key is None or key in self.shape.members:
                assert +job.tally == Counter(part.state for part in parts)
                assert job.attention == any(part.attention for part in parts)
            else:
                assert +job.tally == Counter(run.state for run in self.desk.runs(job.id))
            assert job.blocked >= 0
            assert job.state.is_terminal == (job.ended_at is not None)
            assert (job.percent == 100.0) == (job.state is State.SUCCEEDED)

    def end_of_forward(self) -> None:
        """Let all that can happen, happen, until the plan has ended or goes back."""
        for _ in range(200):
            if self.desk.job(self.id).state is State.REVERTING:
                return
            self.open += [(JobId(job), NodeId(node)) for job, node, *_ in self.desk.hand_over()]
            for order in self.desk.orders():
                self.open = [one for one in self.open if one != (order.job, order.node)]
                self.desk.say(answer_to(order))
            if not self.open:
                return
            self.reply(0)
        raise AssertionError("it does not end")

    def end(self) -> None:
        """Let all that can happen, happen."""
        for _ in range(200):
            self.hand_over()
            if not self.open:
                return
            self.reply(0)
        raise AssertionError("it does not end")

    def check_moves(self) -> None:
        """Every move of every part is one that the table has."""
        with self.desk.control.database.reading() as connection:
            happened = list_events(connection, org=None, plan=self.id, limit=5000)
        stood: dict[Any, State] = {}
        for one in happened:
            if one.old is not None and one.new is not None:
                place = one.job, one.node
                assert stood.get(place, one.old) is one.old
                assert one.new in MOVES[one.old]
                stood[place] = one.new


quick = settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def compare(story: Story, model: Model, *, called_off: bool = False) -> None:
    """The plan at the desk ended as the model did."""
    for (key, node), state in model.runs.items():
        run = story.desk.run(leg_id(story.id, key), node)
        assert (key, node, run.state) == (key, node, state)
    for one in (*model.shape.plan.groups, *model.shape.plan.legs):
        assert (one.key, story.desk.leg(story.id, one.key).state) == (
            one.key,
            model.state(one.key),
        )
    found = story.desk.job(story.id)
    assert found.state is model.plan(called_off=called_off)
    event(f"the plan has {found.state}")
    story.check()
    story.check_moves()


@quick
@given(plan=plans(), fates=ends, script=st.lists(st.integers(0, 20), max_size=12))
def test_a_plan_ends_as_its_legs_do(
    database: Database, plan: Plan, fates: list[State], script: list[int]
) -> None:
    """In whatever order nodes answer, alone or together."""
    story = Story(database, plan, fates)
    story.play(script)
    story.check()
    story.end()

    model = Model(story.shape, story.fates)
    model.settle()
    compare(story, model)


@quick
@given(
    plan=plans(),
    fates=ends,
    script=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 6)), max_size=12),
)
def test_what_is_held_and_released_ends_as_if_it_had_not_been(
    database: Database, plan: Plan, fates: list[State], script: list[tuple[int, int]]
) -> None:
    story = Story(database, plan, fates)
    verbs = story.desk.control.verbs
    for number, at in script:
        leg = story.shape.legs[at % len(story.shape.legs)].leg.key
        job = story.id if at == 6 else leg_id(story.id, leg)
        try:
            if number % 4 == 0:
                verbs.hold(job, **WHO)
            elif number % 4 == 1:
                verbs.release(job, **WHO)
            elif number % 4 == 2:
                story.hand_over()
            else:
                story.reply(number)
        except Conflict:
            event("a conflict")
        for order in story.desk.orders():
            story.open = [one for one in story.open if one != (order.job, order.node)]
            story.desk.say(answer_to(order))
    story.check()
    verbs.release(story.id, **WHO)
    story.end()

    model = Model(story.shape, story.fates)
    model.settle()
    compare(story, model)


@quick
@given(plan=plans(), fates=ends, called=st.integers(0, 6))
def test_a_leg_that_is_called_off_in_time_is_judged_as_cancelled(
    database: Database, plan: Plan, fates: list[State], called: int
) -> None:
    story = Story(database, plan, fates)
    key = story.shape.legs[called % len(story.shape.legs)].leg.key
    story.desk.control.verbs.cancel(leg_id(story.id, key), force=True, **WHO)
    story.check()
    story.end()

    model = Model(story.shape, story.fates, cancelled={key})
    model.settle()
    compare(story, model)


@quick
@given(plan=plans(), fates=ends, script=st.lists(st.integers(0, 20), max_size=8))
def test_a_plan_that_is_called_off_ends_at_once_and_begins_nothing(
    database: Database, plan: Plan, fates: list[State], script: list[int]
) -> None:
    story = Story(database, plan, fates)
    story.play(script)
    before = story.desk.job(story.id)

    found = story.desk.control.verbs.cancel(story.id, force=True, **WHO)

    assert found.state is (before.state if before.state.is_terminal else State.CANCELLED)
    assert story.desk.hand_over() == []
    story.check()
    story.check_moves()


@quick
@given(
    plan=plans(),
    fates=ends,
    edits=st.lists(st.tuples(st.integers(0, 6), some_nodes), min_size=1, max_size=3),
    script=st.lists(st.integers(0, 20), max_size=12),
)
def test_a_plan_whose_legs_move_ends_as_if_they_had_been_there_from_the_beginning(
    database: Database,
    plan: Plan,
    fates: list[State],
    edits: list[tuple[int, list[str]]],
    script: list[int],
) -> None:
    """Legs are changed while all of it waits for its time; some wait for the one that moves."""
    targets = {leg.key: Target(identities=tuple(nodes)) for leg, nodes in _moves(plan, edits)}
    moved = [
        msgspec.structs.replace(leg, target=targets.get(leg.key, leg.target)) for leg in plan.legs
    ]
    story = Story(database, plan, fates, not_before=NOW + LATER)
    for leg, nodes in _moves(plan, edits):
        story.desk.edit(leg_id(story.id, leg.key), target=Target(identities=tuple(nodes)))
    story.shape = arrange(msgspec.structs.replace(plan, legs=tuple(moved)))
    story.deal(fates)
    story.desk.later(LATER)
    story.play(script)
    story.check()
    story.end()

    model = Model(story.shape, story.fates)
    model.settle()
    compare(story, model)


def _moves(plan: Plan, edits: list[tuple[int, list[str]]]) -> list[tuple[Leg, list[str]]]:
    return [(plan.legs[at % len(plan.legs)], nodes) for at, nodes in edits]


class WayBack(Story):
    """A plan of which too much fails, at a desk where each leg has an undo."""

    def undo_all(self) -> list[Run]:
        """Let all that is undone be undone; in which order."""
        self.desk.ours |= {undoing_id(self.id, one.leg.key) for one in self.shape.legs}
        names = {undoing_id(self.id, one.leg.key): one.leg.key for one in self.shape.legs}
        found: list[Run] = []
        while handed := self.desk.hand_over():
            for job, node, *_ in handed:
                found.append((names[JobId(job)], node))
            self.desk.say(*(make_reply(job, node) for job, node, *_ in handed))
        return found


#: one run of some fails
mostly_good = st.integers(0, 5).flatmap(
    lambda good: st.permutations([State.FAILED, *[State.SUCCEEDED] * good])
)


def reversible(plan: Plan) -> Plan:
    """The same with an undo for each leg, which goes back when it fails."""
    undo = Undo(action="echo", data={"text": "no ${data.text}"})
    strict = {"undo": undo, "on_failure": None, "max_failures": "0"}
    legs = tuple(msgspec.structs.replace(leg, **strict) for leg in plan.legs)
    changes: dict[str, Any] = {"on_failure": OnFailure.ROLLBACK, "max_failures": "0"}
    return msgspec.structs.replace(plan, legs=legs, **changes)


@pytest.mark.spec("S4-09")
@quick
@given(plan=plans(), fates=mostly_good, script=st.lists(st.integers(0, 20), max_size=12))
def test_a_rollback_undoes_what_was_done_and_nothing_else(
    database: Database, plan: Plan, fates: list[State], script: list[int]
) -> None:
    """Each leg once where it succeeded, after all that waited for it there; none elsewhere."""
    story = WayBack(database, reversible(plan), fates)
    story.play(script)
    story.end_of_forward()
    done = {
        (one.leg.key, run.node)
        for one in story.shape.legs
        for run in story.desk.runs(leg_id(story.id, one.leg.key))
        if run.state is State.SUCCEEDED
    }
    goes_back = story.desk.job(story.id).state is State.REVERTING

    undone = story.undo_all()

    found = story.desk.job(story.id)
    event(f"{found.state}, {len(undone)} undone")
    assert found.state.is_terminal
    assert sorted(undone) == (sorted(done) if goes_back else [])
    place = {run: at for at, run in enumerate(undone)}
    for one in story.shape.legs:
        for need in one.needs:
            for node in NODES:
                before, after = (need.leg, node), (one.leg.key, node)
                if before in place and after in place:
                    assert place[after] < place[before]
    story.check_moves()
