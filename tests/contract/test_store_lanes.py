"""Limits and lanes: never too many at once, nobody left out, and no slot without a run."""

from collections import Counter
from datetime import timedelta

import pytest

from fleetjobs.access import Role
from fleetjobs.control.authoring import Author
from fleetjobs.control.jobs import Control
from fleetjobs.control.works import AT_ONCE
from fleetjobs.coordinator.dispatcher import Dispatcher
from fleetjobs.documents import encode
from fleetjobs.limits import Limit, Scope
from fleetjobs.names import JobId, NodeId
from fleetjobs.plans.documents import PlanRequest
from fleetjobs.plans.shapes import leg_id
from fleetjobs.requests import Request
from fleetjobs.schedules.documents import Call, Schedule, TemplateCall, Work
from fleetjobs.schedules.rules import Rule
from fleetjobs.signing import COORDINATOR, SigningKey
from fleetjobs.states import Reason, State, WaitReason
from fleetjobs.store.access import Account, create_account
from fleetjobs.store.bells import DISPATCH
from fleetjobs.store.database import Database
from fleetjobs.store.lanes import join_lanes
from fleetjobs.store.limits import delete_limit, list_limits, set_limit
from fleetjobs.targets import Target
from tests.desk import KEY, MINUTE, WHO, Desk
from tests.makers import (
    NOW,
    ORG,
    Clock,
    add_org,
    demo_interface,
    enroll,
    make_beat,
    make_reply,
    new_id,
)
from tests.unit.coordinator.fakes import FakePublisher

NODES = ("web1", "web2", "web3", "web4", "web5", "web6")
ECHO = "demo.echo"


@pytest.fixture
def clock() -> Clock:
    """Noon, until it is set forward."""
    return Clock()


@pytest.fixture
def desk(database: Database, clock: Clock) -> Desk:
    """A desk with six nodes."""
    enroll(database, *NODES)
    return Desk(Control(database, clock), clock)


@pytest.fixture
def dispatcher(database: Database, clock: Clock) -> Dispatcher:
    """What hands over."""
    return Dispatcher(database, FakePublisher(), SigningKey.generate(COORDINATOR), clock)


def limit(desk: Desk, most: int, scope: Scope = Scope.FLEET, name: str | None = None) -> None:
    """So many of demo.echo at once."""
    found = Limit(action=ECHO, scope=scope, name=name, most=most)
    with desk.control.database.transaction() as connection:
        set_limit(connection, found, by="bob", now=desk.clock())


def states(desk: Desk, job: JobId) -> Counter[State]:
    """How its runs stand."""
    return Counter(run.state for run in desk.runs(job))


def in_turn(desk: Desk, number: int, *nodes: str) -> list[JobId]:
    """So many jobs, one after another."""
    jobs = []
    for _ in range(number):
        jobs.append(desk.submit(*(nodes or ("web1",))))
        desk.clock.forward(timedelta(seconds=1))
    return jobs


def drain(dispatcher: Dispatcher) -> None:
    """Hand over until nothing moves."""
    while dispatcher.step():
        pass


@pytest.mark.spec("S2-12", "T6")
def test_the_second_of_what_is_not_parallelizable_waits_for_the_first(
    desk: Desk, dispatcher: Dispatcher
) -> None:
    """Across nodes too, and it says for which job it waits."""
    limit(desk, 1)
    (first,), (second,) = in_turn(desk, 1), in_turn(desk, 1, "web2")

    drain(dispatcher)

    assert desk.job(first).state is State.QUEUED
    waiting = desk.job(second)
    assert (waiting.state, waiting.wait_reason) == (State.WAITING, WaitReason.CONCURRENCY)
    assert desk.run(second, "web2").blocked_by == first

    listener = desk.control.database.listen(DISPATCH)
    desk.say(make_reply(first))
    assert listener.wait(5.0) is not None, "nobody was woken"
    listener.close()
    drain(dispatcher)

    assert desk.job(second).state is State.QUEUED
    assert desk.run(second, "web2").blocked_by is None


TWICE = """\
name: twice
legs:
  - first: {action: demo.echo, data: {text: a}, target: {identities: web1}}
  - second: {action: demo.echo, data: {text: b}, target: {identities: web2}, needs: []}
"""


@pytest.mark.spec("T15", "S2-12")
def test_a_limit_holds_whatever_asks(desk: Desk, dispatcher: Dispatcher) -> None:
    """By itself, as legs of a template, as a schedule's job, and again: one after another."""
    limit(desk, 1)
    control = desk.control
    with control.database.transaction() as connection:
        bob = Account(name="bob", org=ORG, role=Role.OPERATOR, verify_key=None)
        create_account(connection, bob, now=NOW)
    control.templates.create(TWICE, Author(org=ORG, account="bob"), label=None, is_fleet=False)
    call = Call(
        agent="demo", action="echo", data={"text": "c"}, target=Target(identities=("web3",))
    )
    schedule = Schedule(label="c", work=Work(call=call), rule=Rule(every_s=3600))
    control.schedules.create(schedule, **WHO)

    def seal(request: Request | PlanRequest) -> str:
        return KEY.seal(encode(request))

    plain = desk.submit("web4")
    template = TemplateCall(name="twice")
    plan = control.templates.run(template, AT_ONCE, **WHO, id=new_id(), seal=seal).job
    found = [
        plain,
        *(leg_id(plan.id, key) for key in ("first", "second")),
        control.schedules.run_now("c", **WHO, seal=seal).job.id,
        control.rerun(plain, **WHO, id=new_id(), seal=seal).job.id,
    ]
    desk.ours |= set(found)

    order = []
    while len(order) < len(found):
        drain(dispatcher)
        (run,) = [run for job in found for run in desk.runs(job) if run.state is State.QUEUED]
        desk.say(make_reply(run.job, run.node))
        order.append(run.job)

    assert sorted(order) == sorted(found)
    assert desk.job(plan.id).state is State.SUCCEEDED


def test_no_more_than_may_are_handed_over(desk: Desk, dispatcher: Dispatcher) -> None:
    limit(desk, 4)
    job = desk.submit(*NODES)

    drain(dispatcher)

    assert states(desk, job) == {State.QUEUED: 4, State.WAITING: 2}
    assert desk.job(job).state is State.QUEUED


@pytest.mark.parametrize(
    "reply",
    [
        {"state": State.FAILED, "reason": Reason.LOAD_ERROR, "statuscode": 5},
        {"state": State.FAILED, "reason": Reason.INTERRUPTED, "statuscode": 5},
        {"state": State.CANCELLED, "statuscode": 5},
        {"state": State.EXPIRED, "reason": Reason.START_BEFORE, "started_at": None},
    ],
    ids=lambda reply: str(reply["state"]),
)
@pytest.mark.spec("S2-37", "T7")
def test_every_end_frees_the_slot(desk: Desk, dispatcher: Dispatcher, reply: dict) -> None:  # type: ignore[type-arg]  a reply's fields
    """An action that cannot even be loaded keeps nobody else from starting."""
    limit(desk, 1)
    first, second = in_turn(desk, 2)
    drain(dispatcher)

    desk.say(make_reply(first, **reply))
    drain(dispatcher)

    assert desk.job(first).state.is_terminal
    assert desk.job(second).state is State.QUEUED


@pytest.mark.spec("S1-16")
def test_a_retry_waits_without_a_slot(desk: Desk, dispatcher: Dispatcher, clock: Clock) -> None:
    """During the gap another job uses it; when its time comes, it takes its turn again."""
    limit(desk, 1)
    first = desk.submit("web1", retries=2)
    drain(dispatcher)
    desk.start(first)
    desk.fail(first)
    desk.fail(first, attempt=2, started_at=NOW)
    drain(dispatcher)
    desk.fail(first, attempt=2, started_at=NOW)
    second = desk.submit("web2")

    drain(dispatcher)

    assert desk.run(first).wait_reason is WaitReason.RETRY
    assert desk.job(second).state is State.QUEUED
    clock.forward(timedelta(hours=1))
    drain(dispatcher)
    assert desk.run(first).wait_reason is WaitReason.CONCURRENCY
    desk.say(make_reply(second, "web2"))
    drain(dispatcher)
    assert desk.run(first).state is State.QUEUED


def test_what_is_held_or_called_off_leaves_the_line(desk: Desk, dispatcher: Dispatcher) -> None:
    limit(desk, 1)
    first, held, gone, last = in_turn(desk, 4)
    drain(dispatcher)

    desk.control.verbs.hold(held, org=ORG, account="bob")
    desk.control.verbs.cancel(gone, org=ORG, account="bob")
    desk.say(make_reply(first))
    drain(dispatcher)

    assert desk.job(gone).state is State.CANCELLED
    assert desk.job(held).state is State.PAUSED
    assert desk.job(last).state is State.QUEUED
    desk.control.verbs.release(held, org=ORG, account="bob")
    drain(dispatcher)
    assert desk.job(held).wait_reason is WaitReason.CONCURRENCY


@pytest.mark.spec("T14")
def test_a_lost_run_keeps_its_slot_until_it_is_resolved(
    desk: Desk, dispatcher: Dispatcher, clock: Clock
) -> None:
    """It may be at work, and who waits says for whom; whoever knows better calls it off."""
    from fleetjobs.store.losses import lose_runs

    limit(desk, 1)
    (first,), (second,) = in_turn(desk, 1), in_turn(desk, 1, "web2")
    drain(dispatcher)
    desk.start(first)
    clock.forward(10 * MINUTE)
    with desk.control.database.transaction() as connection:
        lose_runs(connection, [(first, NodeId("web1"))], clock(), chance=lambda: 0.5)
    assert (desk.job(first).state, desk.job(first).attention) == (State.PAUSED, True)

    drain(dispatcher)
    assert desk.job(second).wait_reason is WaitReason.CONCURRENCY
    assert desk.run(second, "web2").blocked_by == first

    desk.control.verbs.cancel(first, org=ORG, account="bob", force=True)
    drain(dispatcher)
    assert desk.job(second).state is State.QUEUED


def test_the_higher_priority_goes_first_then_the_older(
    desk: Desk, dispatcher: Dispatcher, clock: Clock
) -> None:
    limit(desk, 1)
    first = desk.submit("web1")
    drain(dispatcher)
    clock.forward(MINUTE)
    older = desk.submit("web1")
    clock.forward(MINUTE)
    younger, urgent = desk.submit("web1"), desk.submit("web1", priority=10)

    order = []
    for _ in range(3):
        drain(dispatcher)
        now = next(job for job in (first, older, younger, urgent) if _is_queued(desk, job))
        desk.say(make_reply(now))
        order.append(now)

    assert order == [first, urgent, older]


def _is_queued(desk: Desk, job: JobId) -> bool:
    return desk.job(job).state is State.QUEUED


def test_orgs_take_turns_however_many_one_asks_for(
    desk: Desk, dispatcher: Dispatcher, database: Database, clock: Clock
) -> None:
    """A thousand of one org keep the one of another waiting for one run only."""
    add_org(database, "other")
    enroll(database, "db1", org="other")
    limit(desk, 1)
    ours = in_turn(desk, 5)
    drain(dispatcher)
    clock.forward(MINUTE)
    from tests.makers import make_request

    request = make_request(org="other", caller="zoe", target=Target(identities=("db1",)))
    theirs = desk.control.submit(KEY.seal(encode(request)), request, org="other").job.id
    drain(dispatcher)
    desk.say(make_reply(ours[0]))
    drain(dispatcher)
    with database.reading() as connection:
        from fleetjobs.store.jobs import get_job

        found = get_job(connection, theirs, org="other")
    assert found is not None
    assert found.state is State.QUEUED
    assert desk.run(ours[1]).blocked_by is None, "a foreign job is named"


def test_limits_of_orgs_and_nodes_count_each_by_itself(desk: Desk, dispatcher: Dispatcher) -> None:
    limit(desk, 1, Scope.NODE)
    limit(desk, 2, Scope.NODE, "web1")
    jobs = [desk.submit("web1", "web2") for _ in range(3)]

    drain(dispatcher)

    queued = Counter(
        run.node for job in jobs for run in desk.runs(job) if run.state is State.QUEUED
    )
    assert queued == {"web1": 2, "web2": 1}


def test_what_runs_when_a_limit_is_set_counts(desk: Desk, dispatcher: Dispatcher) -> None:
    first = desk.submit("web1")
    drain(dispatcher)
    limit(desk, 1)
    second = desk.submit("web2")

    drain(dispatcher)

    assert desk.job(second).wait_reason is WaitReason.CONCURRENCY
    desk.say(make_reply(first))
    drain(dispatcher)
    assert desk.job(second).state is State.QUEUED


def test_who_waits_goes_on_when_the_limit_is_gone(desk: Desk, dispatcher: Dispatcher) -> None:
    limit(desk, 1)
    jobs = [desk.submit("web1") for _ in range(3)]
    drain(dispatcher)

    with desk.control.database.transaction() as connection:
        assert delete_limit(connection, Limit(action=ECHO, scope=Scope.FLEET, most=1))
    drain(dispatcher)

    assert [desk.job(job).state for job in jobs] == [State.QUEUED] * 3


def test_who_joins_a_line_whose_limit_is_gone_goes_on(
    desk: Desk, dispatcher: Dispatcher, database: Database
) -> None:
    """As when the last limit of all is deleted while a coordinator puts runs in line by it."""
    job = desk.submit("web1")
    with database.transaction() as connection:
        join_lanes(connection, NOW, [ECHO], 100)

    while dispatcher.step():
        pass

    assert desk.job(job).state is State.QUEUED


def test_an_interface_declares_a_limit_for_its_org_and_takes_it_back(desk: Desk) -> None:
    """It follows what the nodes declare; what an admin set stays."""
    document = demo_interface("1.1.0")
    document["fleetjobs"]["actions"]["echo"]["max_parallel_org"] = 3
    beats = [make_beat("web1"), make_beat("web1")]
    import msgspec

    assert beats[0].inventory is not None
    inventory = msgspec.structs.replace(beats[0].inventory, interfaces={"demo": document})
    from fleetjobs.store.nodes import save_beats

    with desk.control.database.transaction() as connection:
        save_beats(connection, [msgspec.structs.replace(beats[0], inventory=inventory)], NOW)
        (kept,) = list_limits(connection)
        assert kept.limit == Limit(action=ECHO, scope=Scope.ORG, name=ORG, most=3, declared=True)
        save_beats(connection, [beats[1]], NOW)
        assert list_limits(connection) == []


def test_a_job_for_later_takes_no_slot_before_its_time(
    desk: Desk, dispatcher: Dispatcher, clock: Clock
) -> None:
    """Delivered ahead, it would keep others from starting for an hour."""
    limit(desk, 1)
    later = desk.submit("web1", not_before=NOW + timedelta(minutes=30))
    now = desk.submit("web2")

    drain(dispatcher)

    assert desk.job(now).state is State.QUEUED
    assert desk.job(later).state is State.SCHEDULED
    desk.say(make_reply(now, "web2"))
    clock.forward(timedelta(minutes=30))
    drain(dispatcher)
    assert desk.job(later).state is State.QUEUED


@pytest.fixture
def two(database: Database, clock: Clock) -> list[Dispatcher]:
    """Two that both believe they lead."""
    publisher, key = FakePublisher(), SigningKey.generate(COORDINATOR)
    return [Dispatcher(database, publisher, key, clock) for _ in range(2)]


@pytest.mark.spec("S2-13")
def test_two_dispatchers_at_once_give_no_more_than_there_are(
    desk: Desk, two: list[Dispatcher]
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    limit(desk, 4)
    jobs = [desk.submit(*NODES) for _ in range(4)]
    left = len(jobs) * len(NODES)
    with ThreadPoolExecutor(2) as pool:
        while left:
            list(pool.map(drain, two))
            queued = [run for job in jobs for run in desk.runs(job) if run.state is State.QUEUED]
            assert 2 <= len(queued) <= 4
            desk.say(*(make_reply(run.job, run.node) for run in queued))
            left -= len(queued)

    assert all(desk.job(job).state is State.SUCCEEDED for job in jobs)
