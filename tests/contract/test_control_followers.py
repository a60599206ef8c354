"""Followers: what an action's reply asks for becomes jobs, once, in its caller's name."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleetjobs.access import FLEET, Role
from fleetjobs.contract import Next
from fleetjobs.control import followers as module
from fleetjobs.control.followers import DEEPEST, Followers, follower_id
from fleetjobs.control.jobs import Control
from fleetjobs.documents import encode
from fleetjobs.jobs import Job
from fleetjobs.messages import Reply, decode_from_node
from fleetjobs.names import JobId
from fleetjobs.plans.documents import Group, Need
from fleetjobs.requests import Request
from fleetjobs.signing import SERVER, unseal
from fleetjobs.states import Completion, Reason, State
from fleetjobs.store.access import Account, create_account, get_account, set_account
from fleetjobs.store.database import Database
from fleetjobs.store.followers import children_of
from fleetjobs.store.plans import list_legs
from fleetjobs.store.pruning import old_jobs
from fleetjobs.store.replies import apply_replies
from fleetjobs.targets import Target
from tests.desk import KEY, WHO
from tests.makers import NOW, ORG, Clock, add_org, enroll, make_reply, make_request
from tests.plans import PlanDesk, make_leg


class FollowersDesk(PlanDesk):
    """A desk whose collector makes what replies ask for."""

    def say(self, *replies: Reply) -> set[JobId]:
        follow = Followers(lambda request: KEY.seal(encode(request))).follow
        with self.control.database.transaction() as connection:
            moved = apply_replies(connection, replies, self.clock(), follow=follow)
        self.ours |= moved
        return moved

    def children(self, job: JobId) -> list[Job]:
        """What its action asked for, in order."""
        with self.control.database.reading() as connection:
            ids = children_of(connection, self.job(job), limit=2000)
        return [self.job(one) for one in ids]

    def ask(self, job: JobId, *following: Next, node: str = "web1", **changes: Any) -> list[Job]:
        """The job ends well there and asks for these; what came of that."""
        before = {child.id for child in self.children(job)}
        self.say(make_reply(job, node, next=following, **changes))
        return [child for child in self.children(job) if child.id not in before]


def echo(text: str = "next", **changes: Any) -> Next:
    return Next(**{"agent": "demo", "action": "echo", "data": {"text": text}} | changes)


@pytest.fixture
def desk(database: Database) -> FollowersDesk:
    """A desk with three nodes behind it, and alice in front of it."""
    enroll(database, "web1", "web2", "web3")
    with database.transaction() as connection:
        if get_account(connection, "alice") is None:
            alice = Account(name="alice", org=ORG, role=Role.OPERATOR, verify_key=None)
            create_account(connection, alice, now=NOW)
    clock = Clock()
    return FollowersDesk(Control(database, clock), clock)


@pytest.mark.spec("S0-08")
def test_a_reply_makes_the_jobs_it_asks_for(desk: FollowersDesk) -> None:
    job = desk.submit("web1")

    first, second = desk.ask(
        job, echo("a"), echo("b", target=Target(identities=("web2", "web3")), delay_s=7200)
    )

    assert (first.parent, first.origin, first.plan) == (job, job, job)
    assert (first.id, second.id) == (follower_id(job, "web1", 1, 0), follower_id(job, "web1", 1, 1))
    assert (first.caller, first.org, first.data) == ("alice", ORG, {"text": "a"})
    assert [run.node for run in desk.runs(first.id)] == ["web1"]
    assert [run.node for run in desk.runs(second.id)] == ["web2", "web3"]
    assert (second.state, second.not_before) == (State.SCHEDULED, NOW + timedelta(hours=2))
    assert desk.job(job).state is State.SUCCEEDED
    assert "run.followed" in desk.kinds(job)
    assert desk.hand_over() == [(first.id, "web1", 1, 0)]


def test_followers_are_signed_by_the_server_in_the_name_of_the_caller(desk: FollowersDesk) -> None:
    (child,) = desk.ask(desk.submit("web1"), echo(target=Target()))

    key, payload = unseal(child.sealed, {KEY.id: KEY.verify_key})

    request = msgspec.json.decode(payload, type=Request)
    assert (key, request.caller, request.id) == (SERVER, "alice", child.id)
    assert [run.node for run in desk.runs(child.id)] == ["web1", "web2", "web3"]


@pytest.mark.spec("S0-08")
def test_a_reply_that_comes_twice_makes_them_once(desk: FollowersDesk) -> None:
    job = desk.submit("web1")
    reply = make_reply(job, next=(echo(), echo()))
    desk.say(reply, reply)
    before = desk.children(job)

    desk.say(reply)

    assert (len(before), desk.children(job)) == (2, before)


@pytest.mark.spec("S0-08")
def test_what_a_failing_action_asks_for_is_ignored(desk: FollowersDesk) -> None:
    job = desk.submit("web1")

    desk.fail(job, next=(echo(),))

    assert desk.children(job) == []


def test_a_retry_that_succeeds_makes_them_once(desk: FollowersDesk) -> None:
    job = desk.submit("web1", retries=1)
    desk.fail(job, next=(echo(),))
    assert desk.children(job) == []

    children = desk.ask(job, echo(), attempt=2)
    desk.say(make_reply(job, next=(echo(),)))

    assert [child.id for child in children] == [follower_id(job, "web1", 2, 0)]
    assert len(desk.children(job)) == 1


def test_every_node_asks_for_itself(desk: FollowersDesk) -> None:
    job = desk.submit("web1", "web2")

    desk.say(make_reply(job, "web1", next=(echo(),)), make_reply(job, "web2", next=(echo(),)))

    assert [child.leg for child in desk.children(job)] == ["echo.1", "echo.2"]
    assert [desk.runs(child.id)[0].node for child in desk.children(job)] == ["web1", "web2"]


@pytest.mark.parametrize(
    ("asked", "reason", "why"),
    [
        (echo(target=Target(org="other")), Reason.DENIED, "acts in the org acme alone"),
        (echo(target=Target(identities=("elsewhere",))), Reason.INVALID, "elsewhere"),
        (echo(agent="nobody"), Reason.INVALID, "there is no agent nobody on web1"),
        (echo(action="fly"), Reason.INVALID, "fly"),
        (echo(data={}), Reason.INVALID, "text"),
        (echo("x" * 1000), Reason.INVALID, "text"),
        (echo(target=Target(compound="(((")), Reason.INVALID, "ends too early"),
    ],
)
def test_what_may_not_be_is_a_job_that_failed_and_says_why(
    desk: FollowersDesk, asked: Next, reason: Reason, why: str
) -> None:
    job = desk.submit("web1")

    bad, good = desk.ask(job, asked, echo())

    assert (bad.state, bad.completion, bad.reason) == (State.FAILED, Completion.NONE, reason)
    assert why in desk.run(bad.id).statusmsg
    assert desk.hand_over() == [(good.id, "web1", 1, 0)]
    assert desk.job(job).state is State.SUCCEEDED


def test_nodes_of_another_org_are_out_of_reach(desk: FollowersDesk, database: Database) -> None:
    add_org(database, "rivals")
    enroll(database, "theirs", org="rivals")

    (child,) = desk.ask(desk.submit("web1"), echo(target=Target(identities=("theirs",))))

    assert child.state is State.FAILED
    assert [run.node for run in desk.runs(child.id)] == ["web1"]


def test_nothing_follows_for_an_account_that_is_disabled(
    desk: FollowersDesk, database: Database
) -> None:
    job = desk.submit("web1")
    with database.transaction() as connection:
        set_account(connection, "alice", disabled_at=NOW)

    (child,) = desk.ask(job, echo())

    assert (child.state, child.reason) == (State.FAILED, Reason.DENIED)


def test_eight_may_follow_one_another(desk: FollowersDesk) -> None:
    job = first = desk.submit("web1")

    for _ in range(DEEPEST):
        (child,) = desk.ask(job, echo())
        assert (child.state, child.parent, child.plan) == (State.WAITING, job, first)
        job = child.id
    (child,) = desk.ask(job, echo())

    assert (child.state, child.reason) == (State.FAILED, Reason.DENIED)
    assert "follow one another" in desk.run(child.id).statusmsg


def test_no_more_follow_than_may(desk: FollowersDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """One failed job stands for all that are too many."""
    monkeypatch.setattr(module, "MOST", 5)
    job = desk.submit("web1", "web2", "web3")

    first = desk.ask(job, *[echo()] * 3)
    second = desk.ask(job, *[echo()] * 9, node="web2")
    third = desk.ask(job, echo(), node="web3")

    assert len(first) == 3
    assert [child.state for child in second] == [State.WAITING, State.WAITING, State.FAILED]
    assert "7 more than the 5 jobs" in desk.run(second[-1].id, "web2").statusmsg
    assert third == []
    told = [event.detail for event in desk.events(job) if event.kind == "run.followed"]
    assert [(one["made"], one["refused"]) for one in told] == [(3, 0), (2, 7), (0, 1)]


def test_a_thousand_at_once_are_made(desk: FollowersDesk) -> None:
    children = desk.ask(desk.submit("web1"), *[echo(str(n)) for n in range(1000)])

    assert len(children) == 1000
    assert [child.data["text"] for child in children] == [str(n) for n in range(1000)]


def test_an_id_that_somebody_took_spoils_nothing(desk: FollowersDesk) -> None:
    job = desk.submit("web1")
    desk.hand_in(make_request(id=follower_id(job, "web1", 1, 0), data={"text": "mine"}))

    children = desk.ask(job, echo("a"), echo("b"))

    assert [child.data["text"] for child in children] == ["b"]
    assert desk.job(follower_id(job, "web1", 1, 0)).data == {"text": "mine"}


def test_to_cancel_a_job_cancels_what_follows_it(desk: FollowersDesk) -> None:
    job = desk.submit("web1")
    (child,) = desk.ask(job, echo())
    grandchild, done = desk.ask(child.id, echo(), echo())
    desk.say(make_reply(done.id))

    desk.control.verbs.cancel(job, **WHO)

    assert desk.job(grandchild.id).state is State.CANCELLED
    assert [desk.job(one).state for one in (job, child.id, done.id)] == [State.SUCCEEDED] * 3


def test_nothing_follows_what_was_cancelled(desk: FollowersDesk) -> None:
    job = desk.submit("web1")
    desk.hand_over()
    desk.start(job)
    desk.control.verbs.cancel(job, **WHO)

    desk.say(make_reply(job, next=(echo(),)))

    assert (desk.job(job).state, desk.children(job)) == (State.SUCCEEDED, [])


def test_followers_are_no_jobs_of_their_own_in_lists(desk: FollowersDesk) -> None:
    job = desk.submit("web1")
    (child,) = desk.ask(job, echo())
    (grandchild,) = desk.ask(child.id, echo())

    with desk.control.database.reading() as connection:
        all_of_it = list_legs(connection, desk.job(job), limit=10).items
        of_child = list_legs(connection, desk.job(child.id), limit=10).items

    assert [one.id for one in all_of_it] == [child.id, grandchild.id]
    assert [one.id for one in of_child] == [grandchild.id]


def test_a_job_is_kept_while_something_follows_it(desk: FollowersDesk) -> None:
    job = desk.submit("web1")
    (child,) = desk.ask(job, echo())
    year = desk.later(timedelta(days=366))

    with desk.control.database.reading() as connection:
        assert job not in old_jobs(connection, year, 1000)
    desk.say(make_reply(child.id))
    with desk.control.database.reading() as connection:
        assert job in old_jobs(connection, year, 1000)


def test_what_follows_a_leg_is_a_part_of_its_plan(desk: FollowersDesk) -> None:
    """The plan ends when all of it has; what needs the leg does not wait for it."""
    plan = desk.plan(make_leg("a", "web1"), make_leg("b", "web1", needs=(Need(leg="a"),)))

    desk.succeed(plan, "a", "web1", next=(echo(),))

    found = desk.job(plan)
    assert (found.state, found.percent, found.tally.total()) == (State.RUNNING, 33.3, 3)
    assert sorted(desk.handed()) == [("b", "web1"), ("echo.3", "web1")]
    (child,) = desk.children(desk.leg(plan, "a").id)
    assert (child.parent, child.plan) == (plan, plan)
    desk.succeed(plan, "b", "web1")
    assert desk.job(plan).state is State.RUNNING

    (grandchild,) = desk.ask(child.id, echo())
    assert (grandchild.parent, desk.job(plan).state) == (plan, State.RUNNING)
    desk.say(make_reply(grandchild.id))

    found = desk.job(plan)
    assert (found.state, found.completion, found.percent) == (
        State.SUCCEEDED,
        Completion.FULL,
        100.0,
    )


def test_what_follows_a_leg_of_a_group_is_waited_for_with_it(desk: FollowersDesk) -> None:
    plan = desk.plan(
        make_leg("a", "web1", group="both"),
        make_leg("b", "web2", group="both"),
        make_leg("body", "web1", needs=(Need(leg="both"),)),
        groups=(Group(key="both"),),
    )

    desk.succeed(plan, "a", "web1", next=(echo(),))
    desk.succeed(plan, "b", "web2")

    (child,) = desk.children(desk.leg(plan, "a").id)
    assert child.parent == desk.leg(plan, "both").id
    assert desk.leg(plan, "body").state is State.WAITING
    assert ("body", "web1") not in desk.handed()
    desk.say(make_reply(child.id))
    assert desk.leg(plan, "both").state is State.SUCCEEDED
    assert desk.handed() == [("body", "web1")]
    desk.succeed(plan, "body", "web1")
    assert (desk.job(plan).state, desk.job(plan).percent) == (State.SUCCEEDED, 100.0)


def test_a_plan_fails_with_what_followed_in_it(desk: FollowersDesk) -> None:
    plan = desk.plan(make_leg("a", "web1"))

    desk.succeed(plan, "a", "web1", next=(echo(agent="nobody"),))

    found = desk.job(plan)
    assert (found.state, found.reason) == (State.FAILED, Reason.LEGS_FAILED)
    assert found.completion is Completion.PARTIAL


def test_to_cancel_a_leg_cancels_what_follows_it_and_not_its_plan(desk: FollowersDesk) -> None:
    plan = desk.plan(make_leg("a", "web1"), make_leg("b", "web2"))
    desk.succeed(plan, "a", "web1", next=(echo(),))
    (child,) = desk.children(desk.leg(plan, "a").id)

    desk.control.verbs.cancel(desk.leg(plan, "a").id, **WHO)

    assert desk.job(child.id).state is State.CANCELLED
    assert desk.leg(plan, "b").state is State.WAITING
    assert not desk.job(plan).called_off


def test_to_cancel_a_plan_cancels_what_follows_in_it(desk: FollowersDesk) -> None:
    plan = desk.plan(make_leg("a", "web1"), make_leg("b", "web2"))
    desk.succeed(plan, "a", "web1", next=(echo(),))
    (child,) = desk.children(desk.leg(plan, "a").id)
    desk.handed()
    desk.start(desk.leg(plan, "b").id, "web2")

    desk.control.verbs.cancel(plan, **WHO)
    desk.say(make_reply(desk.leg(plan, "b").id, "web2", next=(echo(),)))

    assert desk.job(child.id).state in {State.CANCELLED, State.CANCELLING}
    assert desk.children(desk.leg(plan, "b").id) == []


WORDS = st.sampled_from(["demo", "echo", "rpcutil", "fly", "0", "a" * 64])
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=6,
)
TARGETS = st.fixed_dictionaries(
    {},
    optional={
        "identities": st.lists(st.sampled_from(["web1", "nobody", "\0", "/we/"]), max_size=3),
        "facts": st.lists(st.text(max_size=9), max_size=2),
        "classes": st.lists(st.text(max_size=9), max_size=2),
        "agents": st.lists(st.text(max_size=9), max_size=2),
        "compound": st.text(max_size=9),
        "org": st.sampled_from([ORG, "rivals", ""]),
        "limit": st.text("0123%-x", max_size=4),
    },
)
NEXT = st.fixed_dictionaries(
    {"action": WORDS},
    optional={
        "agent": WORDS | st.none(),
        "data": st.dictionaries(st.sampled_from(["text", "password", "\0", "${x}"]), VALUES),
        "target": TARGETS,
        "delay_s": st.floats(0, 366 * 24 * 3600),
    },
)


@pytest.fixture
def asking(desk: FollowersDesk) -> Callable[[list[Any]], None]:
    """Let a node's reply ask for that; the reply counts, and every job it made stands somewhere."""

    def ask(following: list[Any]) -> None:
        job = desk.submit("web1")
        raw = msgspec.to_builtins(make_reply(job)) | {"next": following}
        try:
            reply = decode_from_node(msgspec.json.encode(raw))
        except (module.Refused, OverflowError):
            return
        assert isinstance(reply, Reply)
        desk.say(reply)
        assert desk.job(job).state is State.SUCCEEDED
        children = desk.children(job)
        assert len(children) == len(following)
        for child in children:
            assert (child.org, child.caller, child.origin) == (ORG, "alice", job)
            assert child.state in {State.WAITING, State.SCHEDULED, State.FAILED}
            assert child.state is not State.FAILED or desk.run(child.id).statusmsg

    return ask


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(following=st.lists(NEXT, max_size=4))
def test_whatever_is_asked_for_the_reply_counts(
    asking: Callable[[list[Any]], None], following: list[Any]
) -> None:
    asking(following)


def test_what_a_fleet_admin_asked_for_in_an_org_is_followed_there(desk: FollowersDesk) -> None:
    """They have their account in no org, and act in all."""
    with desk.control.database.transaction() as connection:
        if get_account(connection, "root") is None:
            root = Account(name="root", org=FLEET, role=Role.FLEET_ADMIN, verify_key=None)
            create_account(connection, root, now=NOW)
    job = desk.submit("web1", caller="root")

    (follower,) = desk.ask(job, echo())

    assert (follower.state, follower.caller, follower.org) == (State.WAITING, "root", ORG)
