"""Plans in trouble: legs that are changed, held, left out or given up at awkward moments."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from fleetjobs.control.jobs import Control
from fleetjobs.control.retries import Manner
from fleetjobs.declarations import Undo
from fleetjobs.documents import encode
from fleetjobs.errors import Conflict, InvalidPlan
from fleetjobs.plans.documents import Group, Need, OnFailure, RetryMode
from fleetjobs.plans.shapes import leg_id
from fleetjobs.rollouts import Rollout
from fleetjobs.states import Reason, StartIf, State
from fleetjobs.store.database import Database
from fleetjobs.targets import Target
from tests.contract.test_store_rollbacks import ALL, BackDesk, leg
from tests.desk import KEY, WHO
from tests.makers import NOW, Clock, add_org, enroll
from tests.plans import make_leg, make_plan_request
from tests.tables import sqlite_url

HOUR = timedelta(hours=1)
FEWER = Target(identities=("web1", "web3"))


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """What is decided here is decided without the database: one will do."""
    opened = Database.open(sqlite_url(tmp_path_factory.mktemp("troubles")))
    add_org(opened)
    enroll(opened, *ALL)
    yield opened
    opened.close()


@pytest.fixture
def desk(rows: Database) -> BackDesk:
    clock = Clock()
    desk = BackDesk(Control(rows, clock), clock)
    desk.beat(*ALL)
    return desk


class TestEdits:
    """A leg is changed, and with it what it waits for and what waits for it."""

    def test_what_ended_already_is_not_waited_for_again(self, desk: BackDesk) -> None:
        both = (Need(leg="own", when=StartIf.COMPLETED), Need(leg="other"))
        plan = desk.plan(
            make_leg("own", "web1", "web2", not_before=NOW + 3 * HOUR),
            make_leg("other", "web1", "web2"),
            make_leg("last", "web1", "web2", needs=both),
        )
        own = leg_id(plan, "own")
        desk.control.verbs.cancel(own, nodes=["web1"], force=True, **WHO)

        desk.edit(own, target=Target(identities=ALL))

        desk.handed()
        desk.succeed(plan, "other", "web1", "web2")
        assert desk.handed() == [("last", "web1")]

    def test_what_it_refers_to_from_now_on_is_waited_for(self, desk: BackDesk) -> None:
        """The leg between is on another node, and ends there before the first does here."""
        plan = desk.plan(
            leg("a", "web1", "web2"),
            leg("b", "web2", after="a"),
            leg("c", "web1", after="b", undo=None),
        )
        desk.handed()

        desk.edit(leg_id(plan, "c"), data={"text": "${legs.a.node}"})

        desk.succeed(plan, "a", "web2")
        assert desk.handed() == [("b", "web2")]
        desk.succeed(plan, "b", "web2")
        assert desk.handed() == []
        desk.succeed(plan, "a", "web1")
        assert desk.handed() == [("c", "web1")]

    def test_a_reference_that_was_added_goes_along_when_its_leg_moves(self, desk: BackDesk) -> None:
        plan = desk.plan(
            make_leg("a", "web1", "web2", not_before=NOW + 3 * HOUR),
            make_leg("b", "web1", needs=(Need(leg="a", when=StartIf.COMPLETED),)),
        )
        desk.edit(leg_id(plan, "b"), data={"text": "${legs.a.node}"})

        desk.edit(leg_id(plan, "a"), target=FEWER)

        assert {run.node for run in desk.runs(leg_id(plan, "a"))} == {"web1", "web3"}
        desk.later(3 * HOUR)
        desk.handed()
        desk.succeed(plan, "a", "web1")
        assert desk.handed() == [("b", "web1")]

    def test_nothing_is_referred_to_that_would_not_be_there(self, desk: BackDesk) -> None:
        plan = desk.plan(
            make_leg("a", "web1", "web2", not_before=NOW + 3 * HOUR),
            make_leg("b", "web1", "web2", needs=(Need(leg="a"),), data={"text": "${legs.a.node}"}),
            make_leg("c", "web1", "web3", needs=(Need(leg="a"),)),
        )

        with pytest.raises(InvalidPlan, match="not be on web3"):
            desk.edit(leg_id(plan, "c"), data={"text": "${legs.a.node}"})
        with pytest.raises(InvalidPlan, match="not be on web2"):
            desk.edit(leg_id(plan, "a"), target=FEWER)


class TestBudgets:
    """How many may fail."""

    def test_what_is_held_has_not_failed(self, desk: BackDesk) -> None:
        plan = desk.plan(make_leg("a", *ALL, on_failure=OnFailure.PAUSE, max_failures="1"))
        desk.control.verbs.hold(leg_id(plan, "a"), nodes=["web3"], **WHO)
        desk.handed()

        desk.lose(plan, "a", "web1")
        assert desk.run(leg_id(plan, "a"), "web1").state is State.FAILED
        desk.lose(plan, "a", "web2")
        assert desk.run(leg_id(plan, "a"), "web2").state is State.PAUSED

    def test_a_group_of_which_too_many_failed_begins_nothing_more(self, desk: BackDesk) -> None:
        """Its plan goes back as soon as what is at work in it has ended."""
        plan = desk.plan(
            leg("bad", "web1", group="inner"),
            leg("good", "web2", group="inner"),
            leg("later", "web2", group="inner", after="good"),
            leg("beside", "web3", group="outer"),
            leg("behind", "web3", group="outer", after="inner"),
            groups=(Group(key="outer"), Group(key="inner", group="outer")),
            on_failure=OnFailure.ROLLBACK,
        )
        desk.handed()
        for key, node in (("good", "web2"), ("beside", "web3")):
            desk.start(leg_id(plan, key), node)

        desk.lose(plan, "bad", "web1")

        assert desk.states(plan, "later", "behind") == [State.SKIPPED] * 2
        desk.succeed(plan, "good", "web2")
        desk.succeed(plan, "beside", "web3")
        assert desk.job(plan).state is State.REVERTING
        assert desk.is_undone(plan, "good")
        assert not desk.is_undone(plan, "later")

    def test_a_group_that_may_fail_goes_on(self, desk: BackDesk) -> None:
        """Too many have failed of the group, and not of the plan."""
        plan = desk.plan(
            leg("bad", "web1", group="g"),
            leg("good", "web2", group="g"),
            leg("later", "web2", group="g", after="good"),
            groups=(Group(key="g"),),
            on_failure=OnFailure.ROLLBACK,
            max_failures="1",
        )
        desk.handed()
        desk.lose(plan, "bad", "web1")
        desk.succeed(plan, "good", "web2")

        assert desk.handed() == [("later", "web2")]


class TestWaysBack:
    """A plan goes back from where it stands."""

    def test_nodes_that_wait_for_a_person_to_begin_do_not_keep_it(self, desk: BackDesk) -> None:
        plan = desk.plan(
            leg("a", *ALL, rollout=Rollout(batch="1", by_hand=True)),
            leg("b", "web2"),
            on_failure=OnFailure.ROLLBACK,
        )
        desk.handed()
        desk.succeed(plan, "a", "web1")
        assert desk.run(leg_id(plan, "a"), "web2").reason is Reason.ROLLOUT

        desk.lose(plan, "b", "web2")

        states = [run.state for run in desk.runs(leg_id(plan, "a"))]
        assert states == [State.SUCCEEDED, State.SKIPPED, State.SKIPPED]
        assert desk.job(plan).state is State.REVERTING

    def test_they_never_began_if_a_person_sends_it_back(self, desk: BackDesk) -> None:
        plan = desk.plan(
            leg("a", *ALL, rollout=Rollout(batch="1", by_hand=True)), on_failure=OnFailure.ROLLBACK
        )
        desk.handed()
        desk.succeed(plan, "a", "web1")

        desk.control.verbs.rollback(plan, **WHO)

        states = [run.state for run in desk.runs(leg_id(plan, "a"))]
        assert states == [State.SUCCEEDED, State.SKIPPED, State.SKIPPED]
        assert desk.job(plan).state is State.REVERTING

    def test_what_was_left_out_half_way_is_undone(self, desk: BackDesk) -> None:
        half = Undo(action="echo", data={"text": "no"}, partial=True)
        plan = desk.plan(
            leg("half", undo=half, on_failure=OnFailure.PAUSE),
            leg("bad"),
            leg("never", after="half", undo=half),
            on_failure=OnFailure.ROLLBACK,
        )
        desk.handed()
        desk.lose(plan, "half", "web1")
        desk.control.verbs.skip(leg_id(plan, "half"), **WHO)

        desk.lose(plan, "bad", "web1")

        assert desk.job(plan).state is State.REVERTING
        assert desk.is_undone(plan, "half")
        assert not desk.is_undone(plan, "never")

    def test_a_leg_is_not_tried_as_it_is_while_what_it_stands_on_is_undone(
        self, desk: BackDesk
    ) -> None:
        plan = desk.plan(
            leg("a"),
            leg("b", after="a", retries=1, retry_mode=RetryMode.ROLLBACK_TO, rollback_to=("a",)),
            rollback_attempts=1,
        )
        desk.handed()
        desk.succeed(plan, "a", "web1")
        desk.handed()
        b = leg_id(plan, "b")
        desk.fail(b)
        desk.hand_over()
        desk.fail(b, attempt=2)
        assert (desk.run(b).state, desk.run(b).step) == (State.PAUSED, "undo:a")

        as_is = Manner(mode=RetryMode.AS_IS, seal=lambda asked: KEY.seal(encode(asked)))
        with pytest.raises(Conflict, match="is being taken back"):
            desk.control.verbs.retry(b, manner=as_is, **WHO)
        desk.control.verbs.retry(b, **WHO)

        assert desk.run(b).step == "undo:a"


def test_the_delay_of_the_first_leg_counts_from_when_its_plan_begins(desk: BackDesk) -> None:
    leg = make_leg("a", "web1", delay_s=7200)
    wish = make_plan_request(leg, not_before=NOW + HOUR, start_before=NOW + 2 * HOUR)

    found = desk.leg(desk.hand_in_plan(wish), "a")

    assert (found.not_before, found.start_before) == (NOW + 3 * HOUR, NOW + 4 * HOUR)
