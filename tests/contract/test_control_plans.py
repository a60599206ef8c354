"""Plans at the desk: accepted whole or refused whole, and carried out leg by leg."""

from datetime import timedelta
from typing import Any

import pytest

from fleetjobs.control.jobs import Control
from fleetjobs.documents import encode
from fleetjobs.errors import Conflict, InvalidInput, InvalidPlan, MissingInput, NoNodes
from fleetjobs.jobs import Kind
from fleetjobs.names import JobId
from fleetjobs.plans.documents import Group, Need, OnFailure, Pace
from fleetjobs.plans.shapes import leg_id
from fleetjobs.requests import After
from fleetjobs.states import Completion, Reason, StartIf, State, WaitReason
from fleetjobs.store.database import Database
from fleetjobs.store.jobs import get_job
from fleetjobs.store.standing import DELIVER_AHEAD
from fleetjobs.targets import Target
from tests.desk import KEY
from tests.makers import NOW, ORG, Clock, enroll, make_reply, new_id
from tests.plans import PlanDesk, make_leg, make_plan_request

ALL = ("web1", "web2", "web3")


def after(*keys: str, when: str = "succeeded", pace: Pace = Pace.NODE) -> tuple[Need, ...]:
    """Needs of these legs."""
    return tuple(Need(leg=key, when=StartIf(when), pace=pace) for key in keys)


@pytest.fixture
def desk(database: Database) -> PlanDesk:
    """A desk with three nodes behind it."""
    enroll(database, *ALL)
    clock = Clock()
    return PlanDesk(Control(database, clock), clock)


@pytest.mark.spec("S0-08", "S4-15")
def test_a_chain_goes_leg_by_leg(desk: PlanDesk) -> None:
    plan = desk.plan(make_leg("a", "web1"), make_leg("b", "web1", needs=after("a")))

    found = desk.job(plan)
    assert (found.kind, found.state, found.wait_reason) == (
        Kind.PLAN,
        State.WAITING,
        WaitReason.OUTBOX,
    )
    assert found.percent is None
    assert desk.leg(plan, "b").wait_reason is WaitReason.DEPENDENCY
    assert desk.handed() == [("a", "web1")]
    assert desk.job(plan).state is State.QUEUED

    desk.succeed(plan, "a", "web1")

    assert desk.job(plan).state is State.RUNNING
    assert desk.job(plan).percent == 50.0
    assert desk.handed() == [("b", "web1")]

    desk.succeed(plan, "b", "web1")

    found = desk.job(plan)
    assert (found.state, found.completion, found.percent) == (
        State.SUCCEEDED,
        Completion.FULL,
        100.0,
    )
    assert desk.kinds(plan) == ["job.accepted", "job.queued", "job.running", "job.succeeded"]


@pytest.mark.spec("S0-08")
def test_what_fails_leaves_nothing_to_be_handed_over(desk: PlanDesk) -> None:
    """A chain of four whose third fails: no message for the fourth ever reaches a node."""
    keys = ("a", "b", "c", "d")
    legs = [
        make_leg(key, "web1", needs=after(keys[at - 1]) if at else ())
        for at, key in enumerate(keys)
    ]
    plan = desk.plan(*legs)
    for key in ("a", "b"):
        assert desk.handed() == [(key, "web1")]
        desk.succeed(plan, key, "web1")
    assert desk.handed() == [("c", "web1")]

    desk.lose(plan, "c", "web1")

    assert desk.handed() == []
    assert desk.states(plan, *keys)[2:] == [State.FAILED, State.SKIPPED]
    found = desk.job(plan)
    assert (found.state, found.reason, found.completion) == (
        State.FAILED,
        Reason.LEGS_FAILED,
        Completion.PARTIAL,
    )
    run = desk.run(leg_id(plan, "d"))
    assert run.reason is Reason.DEPENDENCY_FAILED
    assert leg_id(plan, "c") in run.statusmsg


def test_each_node_goes_its_own_pace(desk: PlanDesk) -> None:
    plan = desk.plan(make_leg("a", *ALL), make_leg("b", *ALL, needs=after("a")))
    desk.hand_over()

    desk.succeed(plan, "a", "web2")

    assert desk.handed() == [("b", "web2")]
    desk.lose(plan, "a", "web1")
    assert desk.run(leg_id(plan, "b"), "web1").state is State.SKIPPED
    assert desk.leg(plan, "b").state is State.QUEUED
    desk.succeed(plan, "b", "web2")
    assert desk.leg(plan, "b").state is State.WAITING
    desk.succeed(plan, "a", "web3")
    assert desk.handed() == [("b", "web3")]


def test_at_a_barrier_all_wait_for_all(desk: PlanDesk) -> None:
    plan = desk.plan(make_leg("a", *ALL), make_leg("b", *ALL, needs=after("a", pace=Pace.BARRIER)))
    desk.hand_over()

    desk.succeed(plan, "a", "web1", "web2")
    assert desk.handed() == []
    desk.succeed(plan, "a", "web3")

    assert desk.handed() == [("b", node) for node in ALL]


def test_a_node_that_the_leg_before_does_not_have_waits_for_all_of_that(desk: PlanDesk) -> None:
    plan = desk.plan(make_leg("a", "web1", "web2"), make_leg("b", "web2", "web3", needs=after("a")))
    desk.hand_over()

    desk.succeed(plan, "a", "web2")
    assert desk.handed() == [("b", "web2")]
    desk.succeed(plan, "a", "web1")

    assert desk.handed() == [("b", "web3")]


def test_legs_without_a_node_in_common_wait_as_wholes(desk: PlanDesk) -> None:
    plan = desk.plan(make_leg("a", "web1", "web2"), make_leg("b", "web3", needs=after("a")))
    desk.hand_over()

    desk.succeed(plan, "a", "web2")
    assert desk.handed() == []
    desk.lose(plan, "a", "web1")

    assert desk.states(plan, "a", "b") == [State.FAILED, State.SKIPPED]


@pytest.mark.spec("S2-15", "T8", "T9")
@pytest.mark.parametrize("when", ["succeeded", "failed", "completed", "always"])
@pytest.mark.parametrize(
    "end", [State.SUCCEEDED, State.FAILED, State.SKIPPED, State.CANCELLED, State.EXPIRED]
)
@pytest.mark.parametrize("pace", Pace)
def test_whether_a_leg_starts_by_how_the_one_before_ended(
    desk: PlanDesk, end: State, when: str, pace: Pace
) -> None:
    """And a leg after it is judged by its own needs: that `failed` leads nowhere is in writing."""
    plan = desk.plan(
        make_leg("zero", "web1"),
        make_leg("a", "web1", needs=after("zero")),
        make_leg("b", "web1", needs=after("a", when=when, pace=pace)),
        make_leg("c", "web1", needs=after("b")),
    )
    desk.hand_over()
    if end is State.SKIPPED:
        desk.lose(plan, "zero", "web1")
    else:
        desk.succeed(plan, "zero", "web1")
        desk.hand_over()
        if end is State.CANCELLED:
            desk.control.verbs.cancel(leg_id(plan, "a"), org=ORG, account="bob", force=True)
        else:
            desk.succeed(
                plan,
                "a",
                "web1",
                state=end,
                started_at=None if end is State.EXPIRED else NOW,
            )

    starts = when in {"completed", "always"} or end == when
    assert desk.leg(plan, "a").state is end
    assert desk.leg(plan, "b").state is (State.WAITING if starts else State.SKIPPED)
    assert [key for key, _ in desk.handed()] == (["b"] if starts else [])
    if starts:
        assert desk.leg(plan, "c").wait_reason is WaitReason.DEPENDENCY
    else:
        reason = desk.run(leg_id(plan, "b")).reason
        assert reason in {Reason.DEPENDENCY_FAILED, Reason.START_IF}
        assert desk.leg(plan, "c").state is State.SKIPPED
        assert desk.job(plan).state.is_terminal


def test_a_leg_for_the_case_of_failure_that_is_not_needed_harms_nobody(desk: PlanDesk) -> None:
    plan = desk.plan(
        make_leg("a", "web1"), make_leg("rescue", "web1", needs=after("a", when="failed"))
    )
    desk.hand_over()

    desk.succeed(plan, "a", "web1")

    assert desk.run(leg_id(plan, "rescue")).reason is Reason.START_IF
    found = desk.job(plan)
    assert (found.state, found.completion, found.percent) == (
        State.SUCCEEDED,
        Completion.PARTIAL,
        100.0,
    )


def test_a_leg_that_may_fail_does_not_make_its_plan_fail(desk: PlanDesk) -> None:
    plan = desk.plan(
        make_leg("a", "web1", on_failure=OnFailure.CONTINUE),
        make_leg("rescue", "web1", needs=after("a", when="failed")),
    )
    desk.hand_over()

    desk.lose(plan, "a", "web1")
    desk.hand_over()
    desk.succeed(plan, "rescue", "web1")

    assert (desk.job(plan).state, desk.job(plan).completion) == (
        State.SUCCEEDED,
        Completion.PARTIAL,
    )


@pytest.mark.spec("S4-23")
@pytest.mark.parametrize(("allowed", "state"), [("1", State.SUCCEEDED), ("0", State.FAILED)])
def test_so_many_nodes_of_a_leg_may_fail(desk: PlanDesk, allowed: str, state: State) -> None:
    plan = desk.plan(make_leg("a", *ALL, max_failures=allowed))
    desk.hand_over()

    desk.lose(plan, "a", "web1")
    desk.succeed(plan, "a", "web2", "web3")

    for found in (desk.leg(plan, "a"), desk.job(plan)):
        assert found.state is state
        assert found.completion is Completion.PARTIAL


@pytest.mark.parametrize(("failing", "runs"), [(0, True), (1, True), (2, False)])
def test_the_body_of_a_chord_runs_once_after_all_headers(
    desk: PlanDesk,
    failing: int,
    runs: bool,  # noqa: FBT001  a parameter of the test
) -> None:
    keys = [f"h{number}" for number in range(6)]
    plan = desk.plan(
        *(make_leg(key, ALL[at % 3], group="heads") for at, key in enumerate(keys)),
        make_leg("body", "web1", needs=after("heads")),
        groups=(Group(key="heads", max_failures="1"),),
    )
    desk.hand_over()

    for at, key in enumerate(keys):
        assert desk.leg(plan, "body").wait_reason is WaitReason.DEPENDENCY
        tell = desk.lose if at < failing else desk.succeed
        tell(plan, key, ALL[at % 3])

    assert [key for key, _ in desk.handed()] == (["body"] if runs else [])
    if runs:
        desk.succeed(plan, "body", "web1")
    found = desk.job(plan)
    assert found.state is (State.SUCCEEDED if runs else State.FAILED)
    assert desk.leg(plan, "heads").tally[State.FAILED] == failing
    if failing and runs:
        assert desk.leg(plan, "heads").completion is Completion.PARTIAL


def test_a_plan_that_failed_within_its_tolerance_is_partly_done(desk: PlanDesk) -> None:
    plan = desk.plan(make_leg("a", "web1"), make_leg("b", "web2"), max_failures="50%")
    desk.hand_over()

    desk.lose(plan, "a", "web1")
    desk.succeed(plan, "b", "web2")

    assert (desk.job(plan).state, desk.job(plan).completion) == (
        State.SUCCEEDED,
        Completion.PARTIAL,
    )


@pytest.mark.spec("S4-15")
def test_the_percentage_weighs_legs_and_counts_nodes(desk: PlanDesk) -> None:
    plan = desk.plan(
        make_leg("a", *ALL, weight=3.0),
        make_leg("b", "web1", needs=after("a"), weight=1.0, group="g"),
        groups=(Group(key="g"),),
    )
    desk.hand_over()
    seen = []
    for node in ALL:
        desk.succeed(plan, "a", node)
        seen.append(desk.job(plan).percent)

    desk.hand_over()
    desk.lose(plan, "b", "web1")

    assert seen == [25.0, 50.0, 75.0]
    assert (desk.job(plan).state, desk.job(plan).percent) == (State.FAILED, 75.0)


@pytest.mark.spec("S4-22")
def test_cancelling_a_plan_cancels_its_legs(desk: PlanDesk) -> None:
    plan = desk.plan(
        make_leg("a", "web1"),
        make_leg("b", "web1", needs=after("a", when="always")),
        make_leg("c", "web2", group="g"),
        groups=(Group(key="g", max_failures="1"),),
    )
    desk.beat(*ALL)
    desk.hand_over()
    desk.start(leg_id(plan, "a"))

    found = desk.control.verbs.cancel(plan, org=ORG, account="bob")

    assert found.state is State.CANCELLING
    assert desk.states(plan, "a", "b") == [State.CANCELLING, State.CANCELLED]
    desk.obey()
    desk.say(make_reply(leg_id(plan, "a"), state=State.CANCELLED, generation=1))
    assert desk.states(plan, "a", "b", "c", "g") == [State.CANCELLED] * 4
    assert desk.job(plan).state is State.CANCELLED
    again = desk.control.verbs.cancel(plan, org=ORG, account="bob")
    assert again.version == desk.job(plan).version
    assert desk.handed() == []


def test_a_held_plan_begins_nothing_until_it_is_released(desk: PlanDesk) -> None:
    plan = desk.plan(make_leg("a", "web1"), make_leg("b", "web1", needs=after("a")))

    held = desk.control.verbs.hold(plan, org=ORG, account="bob")

    assert (held.state, held.reason, held.attention) == (State.PAUSED, Reason.HOLD, False)
    assert desk.handed() == []
    released = desk.control.verbs.release(plan, org=ORG, account="bob")
    assert released.state is State.WAITING
    assert desk.leg(plan, "b").wait_reason is WaitReason.DEPENDENCY
    assert desk.handed() == [("a", "web1")]


def test_a_held_leg_stays_held_when_its_time_has_come(desk: PlanDesk) -> None:
    plan = desk.plan(make_leg("a", "web1"), make_leg("b", "web1", needs=after("a")))
    leg = leg_id(plan, "b")
    desk.hand_over()
    desk.control.verbs.hold(leg, org=ORG, account="bob")

    desk.succeed(plan, "a", "web1")

    assert desk.handed() == []
    assert desk.job(plan).state is State.PAUSED
    desk.control.verbs.release(leg, org=ORG, account="bob")
    assert desk.handed() == [("b", "web1")]


def stuck(desk: PlanDesk) -> JobId:
    """A plan whose first leg waits for a person on web1."""
    plan = desk.plan(
        make_leg("a", "web1", "web2"),
        make_leg("b", "web1", "web2", needs=after("a")),
        on_failure=OnFailure.PAUSE,
    )
    desk.hand_over()
    desk.lose(plan, "a", "web1")
    desk.succeed(plan, "a", "web2")
    return plan


@pytest.mark.spec("S4-13")
def test_a_leg_that_is_to_pause_waits_for_a_person_instead_of_failing(desk: PlanDesk) -> None:
    plan = stuck(desk)

    leg, run = desk.leg(plan, "a"), desk.run(leg_id(plan, "a"))
    assert (run.state, run.reason, run.attention) == (
        State.PAUSED,
        Reason.ATTEMPTS_EXHAUSTED,
        True,
    )
    assert (leg.state, leg.attention) == (State.PAUSED, True)
    assert desk.job(plan).attention
    assert desk.handed() == [("b", "web2")]  # the other node goes on
    desk.succeed(plan, "b", "web2")
    found = desk.job(plan)
    assert (found.state, found.attention) == (State.PAUSED, True)


@pytest.mark.spec("S4-07")
def test_only_the_leg_that_failed_is_repeated_at_once_and_then_later(desk: PlanDesk) -> None:
    plan = desk.plan(
        make_leg("a", *ALL), make_leg("b", "web1", "web2", needs=after("a"), retries=3)
    )
    desk.hand_over()
    desk.succeed(plan, "a", *ALL)
    job = leg_id(plan, "b")
    assert desk.handed() == [("b", "web1"), ("b", "web2")]
    desk.succeed(plan, "b", "web2")
    waits = []

    for attempt in (1, 2, 3):
        desk.lose(plan, "b", "web1", attempt=attempt)
        due = desk.run(job, "web1").next_attempt_at
        assert due is not None
        waits.append((due - desk.clock()).total_seconds())
        desk.later(due - desk.clock())
        assert desk.handed() == [("b", "web1")]
    desk.succeed(plan, "b", "web1", attempt=4)

    assert waits == [0, 30, 60]
    assert [run.attempt for run in desk.runs(job)] == [4, 1]
    assert {run.attempt for run in desk.runs(leg_id(plan, "a"))} == {1}
    assert desk.job(plan).state is State.SUCCEEDED


@pytest.mark.spec("S4-13", "S4-07")
def test_a_stuck_leg_is_tried_again_where_it_failed_alone(desk: PlanDesk) -> None:
    plan = stuck(desk)
    desk.hand_over()
    desk.succeed(plan, "b", "web2")

    desk.control.verbs.retry(plan, org=ORG, account="bob")

    assert desk.handed() == [("a", "web1")]
    desk.say(make_reply(leg_id(plan, "a"), "web1", attempt=2))
    assert desk.handed() == [("b", "web1")]
    desk.succeed(plan, "b", "web1")
    found = desk.job(plan)
    assert (found.state, found.attention) == (State.SUCCEEDED, False)


@pytest.mark.spec("S4-13")
def test_a_stuck_leg_can_be_skipped_and_what_needs_it_is_judged_by_that(desk: PlanDesk) -> None:
    plan = stuck(desk)
    desk.hand_over()
    desk.succeed(plan, "b", "web2")

    desk.control.verbs.skip(leg_id(plan, "a"), org=ORG, account="bob")

    assert [run.state for run in desk.runs(leg_id(plan, "b"))] == [State.SKIPPED, State.SUCCEEDED]
    found = desk.job(plan)
    assert (found.state, found.completion) == (State.SUCCEEDED, Completion.PARTIAL)
    assert desk.handed() == []


def test_a_leg_that_was_left_out_everywhere_is_skipped_and_nothing_else(desk: PlanDesk) -> None:
    """Though it had begun: so what waits for all of it is judged as what waits for a node of it."""
    plan = desk.plan(
        make_leg("first", "web1"),
        make_leg("a", "web1", needs=after("first")),
        make_leg("b", "web1", needs=after("a")),
        make_leg("c", "web1", needs=after("a", pace=Pace.BARRIER)),
        make_leg("d", "web1", needs=after("a", when="always")),
        on_failure=OnFailure.PAUSE,
    )
    desk.hand_over()
    desk.succeed(plan, "first", "web1")
    desk.hand_over()
    desk.lose(plan, "a", "web1")

    desk.control.verbs.skip(leg_id(plan, "a"), org=ORG, account="bob")

    assert desk.states(plan, "a", "b", "c") == [State.SKIPPED] * 3
    assert desk.handed() == [("d", "web1")]


@pytest.mark.spec("S4-13")
@pytest.mark.parametrize(
    ("outcome", "state"), [(State.SUCCEEDED, State.WAITING), (State.FAILED, State.SKIPPED)]
)
def test_a_stuck_leg_can_be_resolved(desk: PlanDesk, outcome: State, state: State) -> None:
    plan = stuck(desk)

    desk.control.verbs.resolve(leg_id(plan, "a"), outcome=outcome, org=ORG, account="bob")

    assert desk.run(leg_id(plan, "b")).state is state
    assert desk.orders() == []  # its node has nothing left to do
    assert desk.leg(plan, "a").state is outcome


def test_a_plan_that_waits_for_a_person_can_be_cancelled(desk: PlanDesk) -> None:
    plan = stuck(desk)
    desk.hand_over()
    desk.succeed(plan, "b", "web2")

    found = desk.control.verbs.cancel(plan, org=ORG, account="bob")

    assert (found.state, found.attention) == (State.CANCELLED, False)
    assert desk.orders() == []


def test_only_so_many_failures_make_a_leg_pause(desk: PlanDesk) -> None:
    plan = desk.plan(make_leg("a", *ALL, max_failures="1"), on_failure=OnFailure.PAUSE)
    desk.hand_over()

    desk.lose(plan, "a", "web1")
    assert desk.run(leg_id(plan, "a"), "web1").state is State.FAILED
    desk.lose(plan, "a", "web2")

    assert desk.run(leg_id(plan, "a"), "web2").state is State.PAUSED


def test_a_job_that_is_no_leg_cannot_be_skipped(desk: PlanDesk) -> None:
    with pytest.raises(Conflict, match="no leg"):
        desk.control.verbs.skip(desk.submit("web1"), org=ORG, account="bob")


def test_the_same_plan_again_is_the_same_plan(desk: PlanDesk) -> None:
    request = make_plan_request(make_leg("a", "web1"))
    desk.hand_in_plan(request)

    again = desk.control.plans.submit(
        KEY.seal(encode(request)), request, org=ORG, seal=lambda leg: KEY.seal(encode(leg))
    )

    assert (again.job.id, again.created) == (request.id, False)
    other = make_plan_request(make_leg("b", "web1"), id=request.id)
    with pytest.raises(Conflict):
        desk.hand_in_plan(other)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"data": {}}, MissingInput, "leg bad"),
        ({"data": {"text": 5}}, InvalidInput, "leg bad"),
        ({"target": Target(identities=("nobody",))}, NoNodes, "leg bad"),
        ({"retry_mode": "rollback_self"}, InvalidPlan, "leg bad: rollback_self"),
    ],
)
def test_a_plan_is_refused_whole(
    desk: PlanDesk, changes: dict[str, object], error: type[Exception], words: str
) -> None:
    request = make_plan_request(make_leg("good", "web1"), make_leg("bad", "web1", **changes))

    with pytest.raises(Exception, match=words) as caught:
        desk.hand_in_plan(request)

    assert isinstance(caught.value, error)
    with desk.control.database.reading() as connection:
        assert get_job(connection, leg_id(request.id, "good"), org=ORG) is None


def test_a_delay_counts_from_when_the_leg_could_start(desk: PlanDesk) -> None:
    plan = desk.plan(make_leg("a", "web1"), make_leg("b", "web1", needs=after("a"), delay_s=7200.0))
    desk.hand_over()
    desk.later(timedelta(days=3))

    desk.succeed(plan, "a", "web1")

    assert desk.run(leg_id(plan, "b")).state is State.SCHEDULED
    assert desk.handed() == []
    desk.later(timedelta(hours=2) - DELIVER_AHEAD)
    assert desk.handed() == [("b", "web1")]


def test_a_plan_is_tried_again_only_where_it_failed(desk: PlanDesk) -> None:
    plan = desk.plan(
        make_leg("a", *ALL),
        make_leg("b", *ALL, needs=after("a")),
        make_leg("rescue", "web1", needs=after("b", when="failed", pace=Pace.BARRIER)),
    )
    desk.hand_over()
    desk.succeed(plan, "a", "web1", "web2", data={"text": "kept"})
    desk.lose(plan, "a", "web3")
    desk.hand_over()
    desk.succeed(plan, "b", "web1")
    desk.lose(plan, "b", "web2")
    desk.hand_over()
    desk.succeed(plan, "rescue", "web1")
    assert desk.job(plan).state is State.FAILED

    again = rerun(desk, plan, failed=True)

    assert desk.job(again).rerun_of == plan
    assert desk.run(leg_id(again, "a")).data == {"text": "kept"}
    assert sorted(desk.handed()) == [("a", "web3"), ("b", "web2")]
    desk.succeed(again, "a", "web3")
    desk.succeed(again, "b", "web2")
    assert desk.handed() == [("b", "web3")]
    desk.succeed(again, "b", "web3")
    assert desk.leg(again, "rescue").state is State.SUCCEEDED  # it had run, before
    assert (desk.job(again).state, desk.job(again).percent) == (State.SUCCEEDED, 100.0)
    with pytest.raises(Conflict, match="everywhere"):
        rerun(desk, again, failed=True)


def test_a_plan_is_asked_for_once_more(desk: PlanDesk) -> None:
    plan = desk.plan(make_leg("a", "web1"), make_leg("b", "web1", needs=after("a")))
    desk.hand_over()
    desk.succeed(plan, "a", "web1")

    again = rerun(desk, plan, failed=False)

    assert sorted(desk.handed()) == [("a", "web1"), ("b", "web1")]
    assert desk.leg(again, "b").state is State.WAITING


def rerun(desk: PlanDesk, plan: JobId, *, failed: bool) -> JobId:
    """The plan that was made of it."""
    name = new_id()
    made = desk.control.rerun(
        plan,
        org=ORG,
        account="bob",
        id=name,
        seal=lambda asked: KEY.seal(encode(asked)),
        failed=failed,
    )
    desk.ours |= {name, *(leg_id(name, key) for key in ("a", "b", "rescue"))}
    return made.job.id


def test_a_waiting_leg_gets_other_data(desk: PlanDesk) -> None:
    plan = desk.plan(make_leg("a", "web1"), make_leg("b", "web1", needs=after("a")))
    leg = leg_id(plan, "b")

    found = desk.edit(leg, data={"text": "${legs.a.node} at last"})

    assert (found.version, found.fills) == (2, {"legs.a.node": leg_id(plan, "a")})
    assert found.wait_reason is WaitReason.DEPENDENCY
    desk.hand_over()
    desk.succeed(plan, "a", "web1")
    assert desk.handed() == [("b", "web1")]


def test_a_waiting_leg_gets_other_nodes_and_all_wait_as_they_should(desk: PlanDesk) -> None:
    plan = desk.plan(
        make_leg("a", "web1", "web2"),
        make_leg("b", "web1", "web2", needs=after("a")),
        make_leg("c", *ALL, needs=after("b")),
    )
    desk.hand_over()
    desk.succeed(plan, "a", "web1")

    desk.edit(leg_id(plan, "b"), target=Target(identities=("web1", "web3")))

    assert [run.node for run in desk.runs(leg_id(plan, "b"))] == ["web1", "web3"]
    desk.obey()  # web1 was about to get it as it was
    assert desk.handed() == [("b", "web1")]
    desk.succeed(plan, "b", "web1", generation=2)
    assert desk.handed() == [("c", "web1")]
    desk.succeed(plan, "a", "web2")  # web3 waited for all of a
    assert desk.handed() == [("b", "web3")]
    desk.succeed(plan, "b", "web3")  # and web2 now waits for all of b
    assert desk.handed() == [("c", "web2"), ("c", "web3")]
    desk.succeed(plan, "c", *ALL)
    assert (desk.job(plan).state, desk.job(plan).completion) == (
        State.SUCCEEDED,
        Completion.FULL,
    )


def test_a_leg_that_goes_to_a_node_that_is_done_goes_there_at_once(desk: PlanDesk) -> None:
    plan = desk.plan(make_leg("a", *ALL), make_leg("b", "web1", needs=after("a")))
    desk.hand_over()
    desk.succeed(plan, "a", "web2")

    desk.edit(leg_id(plan, "b"), target=Target(identities=("web2",)))

    assert desk.handed() == [("b", "web2")]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"data": {"text": "${legs.c.node}"}}, InvalidPlan),
        ({"data": {"text": "${legs.nobody.node}"}}, InvalidPlan),
        ({"data": {"text": 5}}, InvalidInput),
        ({"after": (After(job=new_id()),)}, Conflict),
    ],
)
def test_a_leg_is_not_changed_into_what_makes_no_sense(
    desk: PlanDesk, changes: dict[str, Any], error: type[Exception]
) -> None:
    plan = desk.plan(
        make_leg("a", "web1"),
        make_leg("b", "web1", needs=after("a")),
        make_leg("c", "web1", needs=after("b")),
    )

    with pytest.raises(error):
        desk.edit(leg_id(plan, "b"), **changes)


def test_a_plan_is_not_changed_as_a_whole(desk: PlanDesk) -> None:
    plan = desk.plan(make_leg("a", "web1"))

    with pytest.raises(Conflict, match="its legs can be changed"):
        desk.edit(plan, data={})
