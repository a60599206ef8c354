"""Rollbacks: what a plan has done is undone, the last first, and nothing else is touched."""

from datetime import timedelta
from typing import Any

import pytest

from fleetjobs.control.jobs import Control
from fleetjobs.declarations import Undo
from fleetjobs.documents import encode
from fleetjobs.errors import Conflict
from fleetjobs.jobs import Job
from fleetjobs.messages import Inventory
from fleetjobs.names import JobId
from fleetjobs.plans.documents import Group, Leg, Need, OnFailure
from fleetjobs.plans.shapes import leg_id
from fleetjobs.plans.undoing import undoing_id
from fleetjobs.requests import After
from fleetjobs.states import Reason, Rollback, State, WaitReason
from fleetjobs.store.database import Database
from fleetjobs.store.jobs import get_job
from fleetjobs.store.nodes import save_beats
from fleetjobs.targets import Target
from tests.desk import KEY
from tests.makers import ORG, Clock, demo_interface, enroll, make_beat, make_reply, new_id
from tests.plans import PlanDesk, make_leg

ALL = ("web1", "web2", "web3")
UNDO = Undo(action="echo", data={"text": "no ${data.text}"})
WHO: dict[str, Any] = {"org": ORG, "account": "bob"}


class BackDesk(PlanDesk):
    """A desk at which plans go back."""

    def beat(self, *nodes: str) -> None:
        """The nodes live, and offer what can be undone."""
        inventory = Inventory(facts={}, interfaces={"demo": make_agent()})
        with self.control.database.transaction() as connection:
            for node in nodes:
                beat = make_beat(node, at=self.clock(), inventory=inventory)
                save_beats(connection, [beat], self.clock())

    def undoing(self, plan: JobId, key: str) -> Job:
        """What takes a leg back; it has to be there."""
        return self.job(undoing_id(plan, key))

    def is_undone(self, plan: JobId, key: str) -> bool:
        """Whether there is anything that takes the leg back."""
        with self.control.database.reading() as connection:
            return get_job(connection, undoing_id(plan, key), org=ORG) is not None

    def handed(self) -> list[tuple[str, str]]:
        """As of plans; what undoes them is ours, too."""
        for job in list(self.ours):
            for event in self.events(job):
                if event.kind == "plan.rollback":
                    self.ours |= {undoing_id(job, key) for key in event.detail["legs"]}
        return super().handed()

    def undo(self, plan: JobId, key: str, *nodes: str, **changes: Any) -> None:
        """What takes the leg back ends well there."""
        job = undoing_id(plan, key)
        self.say(*(make_reply(job, node, **changes) for node in nodes or ("web1",)))

    def fail_to_undo(self, plan: JobId, key: str, node: str = "web1", attempt: int = 1) -> None:
        """What takes the leg back ends badly there."""
        job = undoing_id(plan, key)
        self.say(make_reply(job, node, attempt=attempt, state=State.FAILED, statuscode=1))


def leg(key: str, *nodes: str, after: str = "", **changes: Any) -> Leg:
    """A leg that can be undone, after others."""
    needs = tuple(Need(leg=name) for name in after.split())
    return make_leg(key, *(nodes or ("web1",)), **{"needs": needs, "undo": UNDO} | changes)


def make_agent() -> dict[str, Any]:
    """An agent whose action `demo.echo` answers `made`, and another that nothing takes back."""
    interface = demo_interface()
    (echo,) = interface["actions"]
    made = {"description": "whether it did", "display_as": "Made", "type": "boolean"}
    echo["output"] = {"made": made}
    interface["actions"].append({**echo, "action": "shout"})
    return interface


@pytest.fixture
def desk(database: Database) -> BackDesk:
    enroll(database, *ALL)
    clock = Clock()
    desk = BackDesk(Control(database, clock), clock)
    desk.beat(*ALL)
    return desk


def chain_of_four(desk: BackDesk, **changes: Any) -> JobId:
    """A plan of a, b, c and d on one node, of which three have succeeded."""
    fields = {"on_failure": OnFailure.ROLLBACK} | changes
    plan = desk.plan(
        leg("a"), leg("b", after="a"), leg("c", after="b"), leg("d", after="c"), **fields
    )
    for key in ("a", "b", "c"):
        assert desk.handed() == [(key, "web1")]
        desk.succeed(plan, key, "web1")
    assert desk.handed() == [("d", "web1")]
    return plan


@pytest.mark.spec("S4-09", "S4-15")
def test_a_plan_that_fails_undoes_what_was_done_the_last_first(desk: BackDesk) -> None:
    plan = chain_of_four(desk)

    desk.lose(plan, "d", "web1")

    found = desk.job(plan)
    assert (found.state, found.percent, found.rollback_percent) == (State.REVERTING, 75.0, 0.0)
    for at, key in enumerate(("c", "b", "a")):
        assert desk.handed() == [(f"undo:{key}", "web1")]
        assert desk.undoing(plan, key).data == {"text": f"no {key}"}
        desk.undo(plan, key)
        assert desk.job(plan).rollback_percent == pytest.approx((at + 1) * 100 / 3, abs=0.1)
    found = desk.job(plan)
    assert (found.state, found.reason) == (State.FAILED, Reason.LEGS_FAILED)
    assert (found.rollback, found.percent) == (Rollback.DONE, 75.0)
    assert not desk.is_undone(plan, "d")
    assert desk.handed() == []
    assert desk.kinds(plan)[-3:] == ["job.reverting", "plan.rollback", "job.failed"]


@pytest.mark.spec("S4-09")
@pytest.mark.parametrize("failing", [1, 2, 3, 4])
def test_whichever_leg_fails_those_before_it_are_undone(desk: BackDesk, failing: int) -> None:
    plan = desk.plan(
        leg("a"),
        leg("b", after="a"),
        leg("c", after="b"),
        leg("d", after="c"),
        on_failure=OnFailure.ROLLBACK,
    )
    for key in "abcd"[: failing - 1]:
        desk.hand_over()
        desk.succeed(plan, key, "web1")
    desk.hand_over()

    desk.lose(plan, "abcd"[failing - 1], "web1")

    undone = []
    while handed := desk.handed():
        ((key, _),) = handed
        undone.append(key.removeprefix("undo:"))
        desk.undo(plan, undone[-1])
    assert undone == list("abc"[: failing - 1])[::-1]
    assert (desk.job(plan).state, desk.job(plan).rollback) == (State.FAILED, Rollback.DONE)


def test_a_leg_is_undone_only_where_it_was_done(desk: BackDesk) -> None:
    plan = desk.plan(
        leg("a", *ALL),
        leg("b", *ALL, after="a"),
        on_failure=OnFailure.ROLLBACK,
    )
    desk.hand_over()
    desk.succeed(plan, "a", "web1", "web2")
    desk.hand_over()
    desk.succeed(plan, "b", "web1")
    desk.start(desk.leg(plan, "b").id, "web2")

    desk.lose(plan, "a", "web3")

    assert desk.job(plan).state is State.RUNNING  # b is at work on web2
    desk.succeed(plan, "b", "web2")
    assert desk.job(plan).state is State.REVERTING
    assert desk.handed() == [("undo:b", "web1"), ("undo:b", "web2")]
    desk.undo(plan, "b", "web2")
    assert desk.handed() == [("undo:a", "web2")]
    desk.undo(plan, "b", "web1")
    assert desk.handed() == [("undo:a", "web1")]
    desk.undo(plan, "a", "web1", "web2")
    assert desk.job(plan).rollback is Rollback.DONE


def test_what_is_at_work_ends_first_and_what_has_not_begun_never_does(desk: BackDesk) -> None:
    plan = desk.plan(
        leg("a"),
        leg("b"),
        leg("c", after="b"),
        leg("later", not_before=desk.clock() + timedelta(hours=2)),
        on_failure=OnFailure.ROLLBACK,
    )
    desk.hand_over()
    desk.start(desk.leg(plan, "b").id)

    desk.lose(plan, "a", "web1")

    assert desk.states(plan, "c", "later") == [State.SKIPPED, State.SKIPPED]
    assert desk.run(desk.leg(plan, "later").id).reason is Reason.DEPENDENCY_FAILED
    assert desk.job(plan).state is State.RUNNING
    assert desk.handed() == []
    desk.succeed(plan, "b", "web1")
    assert desk.handed() == [("undo:b", "web1")]
    desk.undo(plan, "b")
    assert (desk.job(plan).state, desk.job(plan).rollback) == (State.FAILED, Rollback.DONE)


def test_what_waits_at_a_node_is_called_back(desk: BackDesk) -> None:
    """A node that is heard of says whether it began; what it did is undone then."""
    plan = desk.plan(leg("a"), leg("b", "web2"), leg("c", "web3"), on_failure=OnFailure.ROLLBACK)
    desk.hand_over()
    desk.beat("web2", "web3")

    desk.lose(plan, "a", "web1")

    assert desk.job(plan).state is State.RUNNING
    assert desk.states(plan, "b", "c") == [State.CANCELLING, State.CANCELLING]
    desk.succeed(plan, "b", "web2")
    desk.obey()
    assert desk.states(plan, "b", "c") == [State.SUCCEEDED, State.CANCELLED]
    assert desk.handed() == [("undo:b", "web2")]
    desk.undo(plan, "b", "web2")
    assert (desk.job(plan).state, desk.job(plan).rollback) == (State.FAILED, Rollback.DONE)


def test_legs_that_nothing_takes_back_are_named(desk: BackDesk) -> None:
    plan = desk.plan(
        leg("a"),
        leg("b", after="a", undo=None, action="shout"),
        leg("c", after="b", undo="nothing"),
        leg("d", after="c"),
        on_failure=OnFailure.ROLLBACK,
    )
    for key in "abc":
        desk.hand_over()
        desk.succeed(plan, key, "web1")
    desk.hand_over()

    desk.lose(plan, "d", "web1")

    assert desk.handed() == [("undo:a", "web1")]
    desk.undo(plan, "a")
    found = desk.job(plan)
    assert (found.rollback, found.irreversible) == (Rollback.NOT_REVERSIBLE, ("b",))
    (event,) = [one for one in desk.events(plan) if one.kind == "plan.rollback"]
    assert event.detail == {"legs": ["a"], "not_reversible": ["b"]}


def test_a_plan_of_which_nothing_was_done_ends_at_once(desk: BackDesk) -> None:
    plan = desk.plan(leg("a"), leg("b", after="a"), on_failure=OnFailure.ROLLBACK)
    desk.hand_over()

    desk.lose(plan, "a", "web1")

    assert (desk.job(plan).state, desk.job(plan).rollback) == (State.FAILED, Rollback.DONE)
    assert desk.states(plan, "b") == [State.SKIPPED]


@pytest.mark.parametrize(("partial", "undone"), [(True, ["undo:b", "undo:a"]), (False, ["undo:a"])])
def test_what_failed_half_way_is_undone_if_its_action_says_so(
    desk: BackDesk, *, partial: bool, undone: list[str]
) -> None:
    half = Undo(action="echo", data={"text": "x"}, partial=partial)
    plan = desk.plan(leg("a"), leg("b", after="a", undo=half), on_failure=OnFailure.ROLLBACK)
    desk.hand_over()
    desk.succeed(plan, "a", "web1")
    desk.hand_over()

    desk.lose(plan, "b", "web1")

    found = []
    while handed := desk.handed():
        found.append(handed[0][0])
        desk.undo(plan, found[-1].removeprefix("undo:"))
    assert found == undone


def test_what_was_not_made_is_not_unmade(desk: BackDesk) -> None:
    """`only_if` names an output; nodes where it is not true did nothing that could be undone."""
    made = Undo(action="echo", data={"text": "x"}, only_if="made")
    plan = desk.plan(leg("a", *ALL, undo=made), leg("b", after="a"), on_failure=OnFailure.ROLLBACK)
    desk.hand_over()
    for node, told in zip(ALL, (True, False, "true"), strict=True):
        desk.succeed(plan, "a", node, data={"made": told})
    desk.hand_over()

    desk.lose(plan, "b", "web1")

    assert desk.handed() == [("undo:a", "web1")]


@pytest.mark.spec("S4-10", "T14")
def test_a_rollback_that_fails_as_often_as_it_may_waits_for_a_person(desk: BackDesk) -> None:
    plan = chain_of_four(desk, rollback_attempts=2)
    later = desk.submit("web1", after=(After(job=plan),))
    desk.lose(plan, "d", "web1")
    desk.hand_over()
    desk.handed()

    desk.fail_to_undo(plan, "c")

    assert desk.job(plan).state is State.REVERTING
    assert desk.handed() == [("undo:c", "web1")]
    desk.fail_to_undo(plan, "c", attempt=2)
    found = desk.job(plan)
    assert (found.state, found.reason, found.attention) == (
        State.PAUSED,
        Reason.ROLLBACK_STUCK,
        True,
    )
    assert desk.run(undoing_id(plan, "c")).reason is Reason.ROLLBACK_STUCK
    assert desk.handed() == []
    blocked = desk.job(later)
    assert (blocked.state, blocked.wait_reason) == (State.WAITING, WaitReason.DEPENDENCY)
    desk.later(timedelta(days=3))

    desk.control.verbs.retry(plan, **WHO)

    assert desk.job(plan).state is State.REVERTING
    assert desk.handed() == [("undo:c", "web1")]
    desk.undo(plan, "c", attempt=3)
    for key in "ba":
        assert desk.handed() == [(f"undo:{key}", "web1")]
        desk.undo(plan, key)
    found = desk.job(plan)
    assert (found.state, found.rollback, found.attention) == (State.FAILED, Rollback.DONE, False)
    assert desk.job(later).state is State.SKIPPED


@pytest.mark.spec("S4-13")
@pytest.mark.parametrize(
    ("verb", "more", "rollback"),
    [
        ("resolve", {"outcome": State.SUCCEEDED}, Rollback.DONE),
        ("resolve", {"outcome": State.FAILED}, Rollback.FAILED),
        ("skip", {}, Rollback.FAILED),
    ],
)
def test_a_person_decides_about_a_stuck_rollback(
    desk: BackDesk, verb: str, more: dict[str, Any], rollback: Rollback
) -> None:
    plan = chain_of_four(desk, rollback_attempts=1)
    desk.lose(plan, "d", "web1")
    desk.handed()
    desk.fail_to_undo(plan, "c")

    getattr(desk.control.verbs, verb)(undoing_id(plan, "c"), **WHO, **more)

    for key in "ba":
        assert desk.handed() == [(f"undo:{key}", "web1")]
        desk.undo(plan, key)
    found = desk.job(plan)
    assert (found.state, found.rollback, found.attention) == (State.FAILED, rollback, False)
    assert "account:bob" in {event.actor for event in desk.events(undoing_id(plan, "c"))}


@pytest.mark.spec("S4-13")
def test_a_stuck_rollback_can_be_called_off(desk: BackDesk) -> None:
    plan = chain_of_four(desk, rollback_attempts=1)
    desk.lose(plan, "d", "web1")
    desk.handed()
    desk.fail_to_undo(plan, "c")

    desk.control.verbs.cancel(plan, **WHO)

    found = desk.job(plan)
    assert (found.state, found.rollback) == (State.CANCELLED, Rollback.FAILED)
    assert desk.handed() == []


def test_groups_are_undone_after_what_waited_for_them(desk: BackDesk) -> None:
    heads = [leg(f"h{at}", node, group="heads") for at, node in enumerate(ALL)]
    body = make_leg("body", "web1", needs=(Need(leg="heads"),), undo=UNDO)
    plan = desk.plan(
        *heads,
        body,
        leg("end", after="body"),
        groups=(Group(key="heads"),),
        on_failure=OnFailure.ROLLBACK,
    )
    desk.hand_over()
    for at, node in enumerate(ALL):
        desk.succeed(plan, f"h{at}", node)
    desk.hand_over()
    desk.succeed(plan, "body", "web1")
    desk.hand_over()

    desk.lose(plan, "end", "web1")

    assert desk.handed() == [("undo:body", "web1")]
    desk.undo(plan, "body")
    assert sorted(desk.handed()) == [(f"undo:h{at}", node) for at, node in enumerate(ALL)]


def test_failures_within_tolerance_are_no_reason_to_go_back(desk: BackDesk) -> None:
    plan = desk.plan(
        leg("a", *ALL, max_failures="1"), leg("b", "web2"), on_failure=OnFailure.ROLLBACK
    )
    desk.hand_over()
    desk.lose(plan, "a", "web1")
    desk.succeed(plan, "a", "web2", "web3")

    desk.succeed(plan, "b", "web2")

    assert (desk.job(plan).state, desk.job(plan).rollback) == (State.SUCCEEDED, None)


def pausing(desk: BackDesk) -> JobId:
    """A plan of a and b, and of later that would come another day; b waits for a person."""
    plan = desk.plan(
        leg("a"), leg("b", after="a"), leg("later", after="b"), on_failure=OnFailure.PAUSE
    )
    desk.hand_over()
    desk.succeed(plan, "a", "web1")
    desk.hand_over()
    desk.lose(plan, "b", "web1")
    assert desk.job(plan).state is State.PAUSED
    return plan


@pytest.mark.spec("S4-13")
def test_a_person_has_a_paused_plan_rolled_back_days_later(desk: BackDesk) -> None:
    plan = pausing(desk)
    desk.later(timedelta(days=3))

    for _ in range(2):
        desk.control.verbs.rollback(plan, **WHO)

    assert desk.job(plan).state is State.REVERTING
    assert desk.states(plan, "b", "later") == [State.FAILED, State.SKIPPED]
    assert desk.handed() == [("undo:a", "web1")]
    desk.undo(plan, "a")
    found = desk.job(plan)
    assert (found.state, found.rollback, found.attention) == (State.FAILED, Rollback.DONE, False)
    (event,) = [one for one in desk.events(plan) if one.kind == "plan.rollback_asked"]
    assert event.actor == "account:bob"
    with pytest.raises(Conflict, match="has ended"):
        desk.control.verbs.rollback(plan, **WHO)


def test_what_runs_comes_to_its_end_before_it_is_rolled_back(desk: BackDesk) -> None:
    plan = desk.plan(leg("a"), leg("b", after="a"), on_failure=OnFailure.PAUSE)
    desk.hand_over()
    desk.start(desk.leg(plan, "a").id)

    desk.control.verbs.rollback(plan, **WHO)

    assert desk.job(plan).state is State.RUNNING
    desk.succeed(plan, "a", "web1")
    assert desk.handed() == [("undo:a", "web1")]
    assert desk.leg(plan, "b").state is State.SKIPPED


def test_only_plans_that_pause_are_rolled_back_by_hand(desk: BackDesk) -> None:
    plan = desk.plan(leg("a"), leg("b", after="a"))
    desk.hand_over()

    with pytest.raises(Conflict, match="on_failure is fail: cancel it with rollback"):
        desk.control.verbs.rollback(plan, **WHO)
    with pytest.raises(Conflict, match=f"is no plan.*it is a part of {plan}"):
        desk.control.verbs.rollback(desk.leg(plan, "a").id, **WHO)
    with pytest.raises(Conflict, match="as a whole"):
        desk.control.verbs.cancel(plan, **WHO, nodes=["web1"], rollback=True)


@pytest.mark.spec("S4-13")
def test_a_plan_is_called_off_and_undone(desk: BackDesk) -> None:
    plan = desk.plan(leg("a"), leg("b", after="a"), leg("c", after="b"))
    desk.hand_over()
    desk.succeed(plan, "a", "web1")
    desk.hand_over()
    desk.start(desk.leg(plan, "b").id)

    for _ in range(2):
        desk.control.verbs.cancel(plan, **WHO, rollback=True)

    assert desk.job(plan).state is State.CANCELLING
    desk.lose(plan, "b", "web1", state=State.CANCELLED)
    assert desk.job(plan).state is State.REVERTING
    desk.control.verbs.cancel(plan, **WHO, rollback=True)
    assert desk.handed() == [("undo:a", "web1")]
    desk.undo(plan, "a")
    assert (desk.job(plan).state, desk.job(plan).rollback) == (State.CANCELLED, Rollback.DONE)


def test_what_was_undone_is_done_again_when_the_rest_is_retried(desk: BackDesk) -> None:
    plan = chain_of_four(desk)
    desk.lose(plan, "d", "web1")
    for key in "cba":
        desk.handed()
        desk.undo(plan, key)

    again = desk.control.rerun(
        plan, **WHO, id=new_id(), seal=lambda asked: KEY.seal(encode(asked)), failed=True
    ).job.id

    desk.ours |= {again, leg_id(again, "a")}
    assert desk.states(again, "a", "b") == [State.WAITING, State.WAITING]
    assert desk.handed() == [("a", "web1")]


def test_what_is_undone_by_its_inputs_keeps_them(desk: BackDesk) -> None:
    """Its undo was signed with the plan, for the inputs and nodes that the leg has."""
    plan = desk.plan(leg("a"), leg("b", after="a", undo=None), on_failure=OnFailure.PAUSE)

    for change in ({"data": {"text": "x"}}, {"target": Target(identities=("web2",))}):
        with pytest.raises(Conflict, match="undone as it was asked for"):
            desk.edit(leg_id(plan, "a"), **change)
    assert desk.edit(leg_id(plan, "a"), retries=2).max_attempts == 3
    assert desk.edit(leg_id(plan, "b"), data={"text": "x"}).data == {"text": "x"}
