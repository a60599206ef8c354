"""Detours: before a leg is tried again, what it and earlier legs did is undone, and done again."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from fleetjobs.control.jobs import Control
from fleetjobs.control.retries import Manner
from fleetjobs.declarations import Undo
from fleetjobs.documents import decode, encode
from fleetjobs.errors import Conflict, InvalidPlan
from fleetjobs.names import JobId, NodeId
from fleetjobs.plans.documents import Leg, OnFailure, RetryMode
from fleetjobs.plans.shapes import leg_id
from fleetjobs.plans.undoing import undoing_id
from fleetjobs.requests import Request
from fleetjobs.signing import peek
from fleetjobs.states import Reason, Rollback, State
from fleetjobs.store.attempts import list_attempts
from fleetjobs.store.database import Database
from fleetjobs.store.handovers import Handover, runs_to_dispatch
from fleetjobs.store.plans import successes_by_leg
from fleetjobs.targets import Target
from tests.contract.test_plan_models import database as one_database
from tests.contract.test_plan_models import quick
from tests.contract.test_store_rollbacks import BackDesk, leg
from tests.desk import KEY, WHO
from tests.makers import Clock, enroll, make_reply

HALF = Undo(action="echo", data={"text": "no ${data.text}"}, partial=True)
WHOLE = Undo(action="echo", data={"text": "no ${data.text}"})
NODES = ("web1", "web2")
many = one_database


class DetourDesk(BackDesk):
    """A desk at which legs are undone before they are tried again."""

    def due(self) -> list[Handover]:
        """What would be handed over now."""
        with self.control.database.reading() as connection:
            everything = runs_to_dispatch(connection, self.clock(), 100_000)
        return [item for item in everything if item.job in self.ours]

    def next_thing(self, node: str = "web1") -> str:
        """Hand over what is due on that node: the leg, or the step before it is tried again."""
        (item,) = [item for item in self.due() if item.node == node]
        found = self.run(item.job, node)
        self.handed()
        return found.step or self.job(item.job).leg or ""

    def end(self, plan: JobId, key: str, state: State, node: str = "web1", **more: Any) -> None:
        """The attempt that is at work there ends so."""
        job = leg_id(plan, key)
        told = {"statuscode": 0 if state is State.SUCCEEDED else 1} | more
        self.say(make_reply(job, node, attempt=self.run(job, node).attempt, state=state, **told))

    def forward(self, plan: JobId, *keys: str) -> None:
        """These legs succeed, one after the other."""
        for key in keys:
            assert self.next_thing() == key
            self.end(plan, key, State.SUCCEEDED)

    def steps(self, plan: JobId, key: str, node: str = "web1") -> list[tuple[str | None, State]]:
        """What became of each attempt."""
        with self.control.database.reading() as connection:
            found = list_attempts(connection, leg_id(plan, key), NodeId(node))
        return [(one.step, one.state) for one in found]


def make_desk(database: Database) -> DetourDesk:
    clock = Clock()
    desk = DetourDesk(Control(database, clock), clock)
    desk.beat(*NODES)
    return desk


@pytest.fixture
def desk(database: Database) -> DetourDesk:
    enroll(database, *NODES)
    return make_desk(database)


def three(**changes: Any) -> list[Leg]:
    """Legs a, b and c, of which the last is tried three times as it says."""
    last = {"retries": 2, "undo": HALF} | changes
    return [leg("a"), leg("b", after="a"), leg("c", after="b", **last)]


@pytest.mark.spec("S4-08")
def test_what_a_leg_did_itself_is_undone_before_it_is_tried_again(desk: DetourDesk) -> None:
    plan = desk.plan(*three(retry_mode="rollback_self"))
    desk.forward(plan, "a", "b")
    assert desk.next_thing() == "c"

    desk.end(plan, "c", State.FAILED)

    (due,) = desk.due()
    asked = decode(Request, peek(due.sealed))
    assert (asked.id, asked.action, asked.data) == (due.job, "echo", {"text": "no c"})
    assert asked.caller == "alice"
    assert desk.next_thing() == "undo:c"
    desk.end(plan, "c", State.SUCCEEDED)
    assert desk.next_thing() == "c"
    desk.end(plan, "c", State.SUCCEEDED)
    assert desk.job(plan).state is State.SUCCEEDED
    assert desk.run(leg_id(plan, "c")).tries == 2
    assert desk.steps(plan, "c") == [
        (None, State.FAILED),
        ("undo:c", State.SUCCEEDED),
        (None, State.SUCCEEDED),
    ]


@pytest.mark.spec("S4-08")
def test_named_legs_and_what_came_after_them_are_undone_and_done_again(desk: DetourDesk) -> None:
    plan = desk.plan(*three(retry_mode="rollback_to", rollback_to=("a",)))
    desk.forward(plan, "a", "b")
    assert desk.next_thing() == "c"

    desk.end(plan, "c", State.FAILED)

    seen = []
    for _ in range(5):
        seen.append(desk.next_thing())
        desk.end(plan, "c", State.SUCCEEDED)
    assert seen == ["undo:c", "undo:b", "undo:a", "redo:a", "redo:b"]
    assert desk.next_thing() == "c"
    desk.end(plan, "c", State.SUCCEEDED)
    assert desk.job(plan).state is State.SUCCEEDED
    assert desk.states(plan, "a", "b") == [State.SUCCEEDED, State.SUCCEEDED]


def test_a_leg_that_is_done_again_answers_anew(desk: DetourDesk) -> None:
    """What refers to it means its latest answer."""
    legs = three(retry_mode="rollback_to", rollback_to=("b",), retries=1)
    later = leg("d", after="c", data={"text": "${legs.b.statusmsg}"})
    plan = desk.plan(*legs, later)
    desk.forward(plan, "a")
    assert desk.next_thing() == "b"
    desk.end(plan, "b", State.SUCCEEDED, statusmsg="first")
    assert desk.next_thing() == "c"
    desk.end(plan, "c", State.FAILED)

    for step in ("undo:c", "undo:b", "redo:b"):
        assert desk.next_thing() == step
        desk.end(plan, "c", State.SUCCEEDED, statusmsg=f"by {step}")

    assert desk.run(leg_id(plan, "b")).statusmsg == "by redo:b"


@pytest.mark.spec("S4-10")
def test_a_step_back_that_fails_as_often_as_it_may_waits_for_a_person(desk: DetourDesk) -> None:
    plan = desk.plan(*three(retry_mode="rollback_self"), rollback_attempts=2)
    desk.forward(plan, "a", "b")
    assert desk.next_thing() == "c"
    desk.end(plan, "c", State.FAILED)

    for _ in range(2):
        assert desk.next_thing() == "undo:c"
        desk.end(plan, "c", State.FAILED)

    found = desk.job(plan)
    assert (found.state, found.reason, found.attention) == (
        State.PAUSED,
        Reason.ROLLBACK_STUCK,
        True,
    )
    desk.control.verbs.retry(plan, **WHO)
    assert desk.next_thing() == "undo:c"
    desk.end(plan, "c", State.FAILED)
    assert desk.job(plan).state is State.PAUSED
    desk.control.verbs.resolve(plan, **WHO, outcome=State.SUCCEEDED)
    assert desk.next_thing() == "c"


def test_a_detour_is_cut_short_by_a_cancel(desk: DetourDesk) -> None:
    """A step that ended well before the stop arrived is no success of the leg."""
    plan = desk.plan(*three(retry_mode="rollback_to", rollback_to=("b",)))
    desk.forward(plan, "a", "b")
    assert desk.next_thing() == "c"
    desk.end(plan, "c", State.FAILED)
    assert desk.next_thing() == "undo:c"
    desk.end(plan, "c", State.SUCCEEDED)
    assert desk.next_thing() == "undo:b"
    desk.start(leg_id(plan, "c"), attempt=3)

    desk.control.verbs.cancel(plan, **WHO, rollback=True)
    desk.end(plan, "c", State.SUCCEEDED)

    assert desk.leg(plan, "c").state is State.CANCELLED
    assert desk.handed() == [("undo:b", "web1")]  # nobody knows how far that had come


def test_what_a_detour_has_undone_is_not_undone_again(desk: DetourDesk) -> None:
    plan = desk.plan(
        *three(retry_mode="rollback_to", rollback_to=("b",), retries=1),
        on_failure=OnFailure.ROLLBACK,
    )
    desk.forward(plan, "a", "b")
    assert desk.next_thing() == "c"
    desk.end(plan, "c", State.FAILED)
    for step in ("undo:c", "undo:b"):
        assert desk.next_thing() == step
        desk.end(plan, "c", State.SUCCEEDED)
    assert desk.next_thing() == "redo:b"

    desk.end(plan, "c", State.FAILED, reason=Reason.USER_ERROR)

    assert desk.handed() == [("undo:a", "web1")]
    assert not desk.is_undone(plan, "b")
    desk.undo(plan, "a")
    assert (desk.job(plan).state, desk.job(plan).rollback) == (State.FAILED, Rollback.DONE)
    with desk.control.database.reading() as connection:
        assert successes_by_leg(connection, plan) == {}


@pytest.mark.parametrize(
    ("legs", "why"),
    [
        ([leg("a", undo=None, action="shout", retry_mode="rollback_self")], "nothing takes a back"),
        ([leg("a", undo=WHOLE, retry_mode="rollback_self")], "partial"),
        (
            [leg("a"), leg("b", *NODES, after="a", retry_mode="rollback_to", rollback_to=("a",))],
            "a is not on web2",
        ),
    ],
)
def test_what_cannot_be_undone_before_another_try_is_refused(
    desk: DetourDesk, legs: list[Leg], why: str
) -> None:
    with pytest.raises(InvalidPlan, match=why):
        desk.plan(*legs)


def test_a_person_chooses_what_is_undone_before_another_try(desk: DetourDesk) -> None:
    plan = desk.plan(*three(retries=0), on_failure=OnFailure.PAUSE)
    desk.forward(plan, "a", "b")
    assert desk.next_thing() == "c"
    desk.end(plan, "c", State.FAILED)
    retry = desk.control.verbs.retry

    with pytest.raises(InvalidPlan, match="name the legs"):
        retry(plan, **WHO, manner=manner(RetryMode.ROLLBACK_TO))
    retry(plan, **WHO, manner=manner(RetryMode.ROLLBACK_TO, "b"))

    for step in ("undo:c", "undo:b", "redo:b"):
        assert desk.next_thing() == step
        desk.end(plan, "c", State.SUCCEEDED)
    assert desk.next_thing() == "c"
    desk.end(plan, "c", State.FAILED)
    retry(leg_id(plan, "c"), **WHO, manner=manner(RetryMode.AS_IS))
    assert desk.next_thing() == "c"
    desk.end(plan, "c", State.FAILED)
    retry(plan, **WHO, manner=manner(RetryMode.ROLLBACK_SELF))
    assert desk.next_thing() == "undo:c"
    with pytest.raises(Conflict, match="no run"):
        retry(plan, **WHO, manner=manner(RetryMode.ROLLBACK_SELF))


def manner(mode: RetryMode, *keys: str) -> Manner:
    return Manner(mode=mode, keys=keys, seal=lambda asked: KEY.seal(encode(asked)))


def test_what_is_to_be_done_again_stays_as_it_was_asked_for(desk: DetourDesk) -> None:
    plan = desk.plan(*three(retry_mode="rollback_to", rollback_to=("b",)))

    for key in ("b", "c"):
        with pytest.raises(Conflict, match="undone as it was asked for"):
            desk.edit(leg_id(plan, key), data={"text": "other"})
    with pytest.raises(Conflict, match="before c is tried again"):
        desk.edit(leg_id(plan, "b"), retries=1)


def test_a_leg_that_asked_for_a_delay_is_not_undone(desk: DetourDesk) -> None:
    plan = desk.plan(*three(retry_mode="rollback_self"))
    desk.forward(plan, "a", "b")
    assert desk.next_thing() == "c"

    desk.end(plan, "c", State.FAILED, delay_s=0.0)

    assert desk.next_thing() == "c"


modes = st.sampled_from(
    [("as_is", ()), ("rollback_self", ()), *(("rollback_to", (k,)) for k in "ab")]
)
#: how attempts end, in turn
fates = st.lists(st.sampled_from([True, True, False]), min_size=1, max_size=25)


def expected(mode: str, keys: tuple[str, ...], ends: list[bool], retries: int) -> list[str]:
    """What nodes are asked for, in a few lines: spec/semantics.md, E10."""
    told = iter([*ends, *[True] * 100])
    begun: list[str] = []

    def do(name: str, budget: int) -> bool:
        for _ in range(budget):
            begun.append(name)
            if next(told):
                return True
        return False

    again = list("abc"["abc".index(keys[0]) : 2]) if keys else []
    back = [] if mode == "as_is" else [f"undo:{key}" for key in ["c", *again[::-1]]]
    if not (do("a", 1) and do("b", 1)):
        return begun
    for number in range(retries + 1):
        if do("c", 1) or number == retries:
            return begun
        if not all(do(name, 2) for name in back):
            return begun
        if not all(do(f"redo:{key}", 1) for key in again):
            return begun
    return begun


@quick
@given(mode=modes, ends=fates, retries=st.integers(0, 2), held=st.integers(0, 30))
def test_a_leg_is_tried_again_as_the_model_says(
    many: Database, mode: tuple[str, tuple[str, ...]], ends: list[bool], retries: int, held: int
) -> None:
    """With each step beginning only when the one before has ended, and none begun twice."""
    name, keys = mode
    desk = make_desk_of(many)
    legs = three(retry_mode=name, rollback_to=keys, retries=retries)
    plan = desk.plan(*(place(one) for one in legs), rollback_attempts=2)
    told = iter([*ends, *[True] * 100])
    begun: list[str] = []
    while due := desk.due():
        (item,) = due
        if len(begun) == held:
            desk.control.verbs.hold(plan, **WHO)
            assert desk.due() == []
            desk.control.verbs.release(plan, **WHO)
        begun.append(desk.next_thing("n1"))
        key = desk.job(item.job).leg or ""
        desk.end(plan, key, State.SUCCEEDED if next(told) else State.FAILED, "n1")
        desk.later_by_hours()

    assert begun == expected(name, keys, ends, retries)
    found = desk.job(plan)
    assert not found.state.is_terminal or found.state in {State.SUCCEEDED, State.FAILED}
    assert (found.state is State.PAUSED) == (found.reason is Reason.ROLLBACK_STUCK)
    event(f"{name}: {found.state}")


def place(one: Leg) -> Leg:
    """The leg on the node of the shared database."""
    return msgspec.structs.replace(one, target=Target(identities=("n1",)))


class ManyDesk(DetourDesk):
    """On a database that many examples share."""

    def later_by_hours(self) -> None:
        """So that whatever waits for another try is due."""
        self.later(timedelta(hours=2))
        self.beat("n1")


def make_desk_of(database: Database) -> ManyDesk:
    clock = Clock()
    desk = ManyDesk(Control(database, clock), clock)
    desk.beat("n1")
    return desk


def test_the_undo_of_a_plan_is_another_job_than_a_step_back(desk: DetourDesk) -> None:
    plan = desk.plan(*three(retry_mode="rollback_self", retries=1), on_failure=OnFailure.ROLLBACK)
    desk.forward(plan, "a", "b")
    assert desk.next_thing() == "c"
    desk.end(plan, "c", State.FAILED)
    assert desk.next_thing() == "undo:c"
    desk.end(plan, "c", State.SUCCEEDED)
    assert desk.next_thing() == "c"

    desk.end(plan, "c", State.FAILED)

    assert desk.handed() == [("undo:c", "web1")]
    assert desk.job(undoing_id(plan, "c")).state is State.QUEUED
