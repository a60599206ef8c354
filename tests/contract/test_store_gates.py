"""Gates: pauses and windows hold up what would begin, wherever it lies; what has begun goes on."""

from concurrent.futures import ThreadPoolExecutor, wait
from datetime import datetime, timedelta
from typing import Any

import pytest

from fleetjobs.broker.tasks import read_documents
from fleetjobs.control.jobs import Control
from fleetjobs.control.pauses import Place
from fleetjobs.coordinator import dispatcher as dispatcher_module
from fleetjobs.coordinator.dispatcher import Dispatcher
from fleetjobs.coordinator.lead import Lead
from fleetjobs.crashpoints import CrashPoint
from fleetjobs.documents import decode
from fleetjobs.errors import Conflict, DatabaseAway, NotFound
from fleetjobs.messages import Delivery, Stage, Verb
from fleetjobs.plans.shapes import leg_id
from fleetjobs.schedules.rules import Rule
from fleetjobs.schedules.windows import Opening, Window, WindowKind
from fleetjobs.signing import COORDINATOR, SigningKey, unseal
from fleetjobs.states import Reason, State, WaitReason
from fleetjobs.store.database import Database
from fleetjobs.store.gates import hold_up
from fleetjobs.targets import Target
from tests.desk import WHO, Desk
from tests.dying import Killed
from tests.makers import NOW, ORG, Clock, enroll, make_reply
from tests.plans import PlanDesk, make_leg
from tests.unit.coordinator.fakes import FakePublisher

HOUR = timedelta(hours=1)
KEY = SigningKey.generate(COORDINATOR)


@pytest.fixture
def clock() -> Clock:
    """Four in the morning, until it is set forward."""
    return Clock()


@pytest.fixture
def desk(database: Database, clock: Clock) -> Desk:
    """A desk with two nodes."""
    enroll(database, "web1", "web2")
    return Desk(Control(database, clock), clock)


@pytest.fixture
def publisher() -> FakePublisher:
    """A broker that takes everything."""
    return FakePublisher()


@pytest.fixture
def dispatcher(database: Database, clock: Clock, publisher: FakePublisher) -> Dispatcher:
    """What hands over."""
    return Dispatcher(database, publisher, KEY, clock)


def drain(dispatcher: Dispatcher) -> None:
    """Hand over until nothing moves."""
    while dispatcher.step():
        pass


def window(name: str, kind: WindowKind, begin: datetime, lasts: timedelta, **more: Any) -> Window:
    """A window with one opening."""
    opening = Opening(rule=Rule(at=(begin,)), lasts_s=lasts.total_seconds())
    return Window(name=name, kind=kind, openings=(opening,), **more)


def delivery(publisher: FakePublisher) -> Delivery:
    """The last one."""
    sealed = read_documents(publisher.published[-1].body)["delivery"]
    return decode(Delivery, unseal(sealed, {COORDINATOR: KEY.verify_key})[1])


def test_in_a_blackout_nothing_begins_until_it_is_over(
    desk: Desk, dispatcher: Dispatcher, clock: Clock
) -> None:
    desk.control.windows.create(window("freeze", WindowKind.BLACKOUT, NOW, 2 * HOUR), **WHO)
    job = desk.submit("web1")

    drain(dispatcher)

    waiting = desk.job(job)
    assert (waiting.state, waiting.wait_reason) == (State.WAITING, WaitReason.WINDOW)
    assert desk.run(job).opens_at == NOW + 2 * HOUR
    clock.forward(2 * HOUR)
    drain(dispatcher)
    assert desk.job(job).state is State.QUEUED
    assert desk.run(job).opens_at is None


def test_a_node_is_told_to_begin_before_the_window_closes(
    desk: Desk, dispatcher: Dispatcher, publisher: FakePublisher, clock: Clock
) -> None:
    """Late, it gives the run back, which waits for the next opening and uses up no try."""
    openings = tuple(
        Opening(rule=Rule(at=(begin,)), lasts_s=3600.0) for begin in (NOW, NOW + 5 * HOUR)
    )
    nights = Window(name="nights", kind=WindowKind.ALLOWED, openings=openings)
    desk.control.windows.create(nights, **WHO)
    job = desk.submit("web1")
    drain(dispatcher)
    assert delivery(publisher).start_before == NOW + HOUR

    clock.forward(HOUR)
    late = {"state": State.EXPIRED, "reason": Reason.START_BEFORE, "started_at": None}
    desk.say(make_reply(job, **late))
    drain(dispatcher)

    run = desk.run(job)
    assert (run.state, run.wait_reason) == (State.WAITING, WaitReason.WINDOW)
    assert (run.opens_at, run.tries) == (NOW + 5 * HOUR, 1)
    clock.forward(4 * HOUR)
    drain(dispatcher)
    told = delivery(publisher)
    assert (told.attempt, told.start_before) == (2, NOW + 6 * HOUR)
    desk.say(make_reply(job, attempt=2))
    assert desk.job(job).state is State.SUCCEEDED


def test_what_was_to_begin_earlier_expires_where_the_window_comes_too_late(
    desk: Desk, dispatcher: Dispatcher, clock: Clock
) -> None:
    from fleetjobs.coordinator.reaper import Reaper

    desk.control.windows.create(window("freeze", WindowKind.BLACKOUT, NOW, 5 * HOUR), **WHO)
    job = desk.submit("web1", start_before=NOW + HOUR)
    drain(dispatcher)

    clock.forward(2 * HOUR)
    Reaper(desk.control.database, clock).step()

    assert desk.job(job).state is State.EXPIRED


def test_nothing_is_delivered_ahead_of_a_start_that_is_forbidden(
    desk: Desk, dispatcher: Dispatcher, publisher: FakePublisher, clock: Clock
) -> None:
    """What may begin at its time is; its node is told until when."""
    freeze = window("freeze", WindowKind.BLACKOUT, NOW + HOUR, HOUR)
    desk.control.windows.create(freeze, **WHO)
    inside = desk.submit("web1", not_before=NOW + HOUR)
    before = desk.submit("web2", not_before=NOW + HOUR / 2)

    drain(dispatcher)

    assert desk.job(inside).state is State.SCHEDULED
    assert desk.job(before).state is State.QUEUED
    assert delivery(publisher).start_before == NOW + HOUR
    clock.forward(HOUR)
    drain(dispatcher)
    assert desk.run(inside).opens_at == NOW + 2 * HOUR


def test_what_lies_with_nodes_is_asked_back_when_a_blackout_is_made(
    desk: Desk, dispatcher: Dispatcher
) -> None:
    """What has begun goes on."""
    (job, begun) = desk.submit("web1"), desk.submit("web2")
    drain(dispatcher)
    desk.say(make_reply(job, stage=Stage.ACCEPTED))
    desk.start(begun, "web2")

    desk.control.windows.create(window("freeze", WindowKind.BLACKOUT, NOW, HOUR), **WHO)
    orders = desk.orders()

    assert [(order.job, order.verb) for order in orders] == [(job, Verb.WITHDRAW)]
    desk.say(make_reply(job, stage=Stage.WITHDRAWN, generation=1, started_at=None))
    drain(dispatcher)
    assert desk.run(job).wait_reason is WaitReason.WINDOW
    assert desk.job(begun).state is State.RUNNING
    desk.control.windows.delete("freeze", **WHO)
    drain(dispatcher)
    assert desk.job(job).state is State.QUEUED


@pytest.mark.spec("F6")
def test_what_a_killed_coordinator_handed_over_is_asked_back_by_the_next_one(
    desk: Desk, clock: Clock, publisher: FakePublisher
) -> None:
    """It died before it was noted; then a pause was asked for, and nobody knew what nodes have."""
    database = desk.control.database
    Lead(database, clock, "one").step()
    job = desk.submit("web1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dispatcher_module, "crash_point", die)
        with pytest.raises(Killed):
            Dispatcher(database, publisher, KEY, clock).step()
    assert [parcel.queue for parcel in publisher.published] == ["node.web1"]
    place = Place(node="web1")

    clock.forward(timedelta(seconds=1))
    desk.control.pauses.pause(place, **WHO)
    Lead(database, clock, "two", is_gone=lambda _: True).step()
    clock.forward(timedelta(seconds=1))
    later = desk.submit("web1")
    next_one = Dispatcher(database, FakePublisher(), KEY, clock)
    assert next_one.step() == 2

    assert [(order.job, order.verb) for order in desk.orders()] == [(job, Verb.WITHDRAW)]
    assert desk.run(later).wait_reason is WaitReason.PAUSE
    desk.say(make_reply(job, stage=Stage.WITHDRAWN, generation=1, started_at=None))
    drain(next_one)
    assert desk.run(job).wait_reason is WaitReason.PAUSE
    desk.control.pauses.resume(place, **WHO)
    drain(next_one)
    assert [desk.job(each).state for each in (job, later)] == [State.QUEUED] * 2


def test_what_could_not_be_noted_is_asked_back_all_the_same(
    desk: Desk, clock: Clock, publisher: FakePublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database was away when it was to be noted, and a pause was asked for then."""
    dispatcher = Dispatcher(desk.control.database, publisher, KEY, clock)
    job = desk.submit("web1")
    dispatcher.send()

    with monkeypatch.context() as patch:
        patch.setattr(dispatcher_module, "mark_queued", away)
        with pytest.raises(DatabaseAway):
            dispatcher.note()
    desk.control.pauses.pause(Place(node="web1"), **WHO)
    dispatcher.step()

    assert [(order.job, order.verb) for order in desk.orders()] == [(job, Verb.WITHDRAW)]


def die(point: CrashPoint) -> None:
    if point == "dispatcher_after_publish":
        raise Killed


def away(*_: object) -> None:
    raise DatabaseAway("gone")


def test_a_window_is_about_its_own_nodes_and_orgs(desk: Desk, dispatcher: Dispatcher) -> None:
    freeze = window(
        "freeze",
        WindowKind.BLACKOUT,
        NOW,
        HOUR,
        target=Target(identities=("web1",), classes=("web",)),
    )
    desk.control.windows.create(freeze, **WHO)
    desk.control.windows.create(
        window("theirs", WindowKind.BLACKOUT, NOW, HOUR), org="other", account="eve"
    )
    job = desk.submit("web1", "web2")

    drain(dispatcher)

    assert [run.state for run in desk.runs(job)] == [State.WAITING, State.QUEUED]
    with pytest.raises(NotFound):
        desk.control.windows.get("theirs", org=ORG)
    with pytest.raises(Conflict):
        desk.control.windows.create(freeze, **WHO)


def test_a_job_moves_out_of_the_way_by_what_is_foreseen(desk: Desk) -> None:
    """The next and the previous moment at which it may begin are named."""
    job = desk.submit("web1", not_before=NOW + 3 * HOUR)
    freeze = window("freeze", WindowKind.BLACKOUT, NOW + 2 * HOUR, 2 * HOUR)

    (found,) = desk.control.windows.displaced(freeze, org=ORG)

    assert (found.job.id, found.because) == (job, "freeze")
    assert found.next_at == NOW + 4 * HOUR
    assert found.previous_at is not None
    assert NOW <= found.previous_at < NOW + 2 * HOUR


@pytest.mark.parametrize("place", [Place(), Place(org=ORG), Place(node="web1")], ids=str)
def test_a_pause_stops_starts_and_no_acceptance(
    desk: Desk, dispatcher: Dispatcher, place: Place
) -> None:
    """What lies on a node comes back, what has begun goes on, and all of it survives restarts."""
    lying, begun = desk.submit("web1"), desk.submit("web1")
    drain(dispatcher)
    desk.say(make_reply(lying, stage=Stage.ACCEPTED))
    desk.start(begun)

    found = desk.control.pauses.pause(place, **WHO, message="upgrade")
    later = desk.submit("web1")
    desk.orders()
    desk.say(make_reply(lying, stage=Stage.WITHDRAWN, generation=1, started_at=None))
    drain(dispatcher)

    assert found.unended.at_work == 1
    assert [desk.job(job).state for job in (lying, begun, later)] == [
        State.WAITING,
        State.RUNNING,
        State.WAITING,
    ]
    desk.say(make_reply(begun))
    left = desk.control.pauses.show(place, org=ORG).unended
    assert (left.at_work, left.with_nodes, left.waiting) == (0, 0, 2)
    (listed,) = desk.control.pauses.list(org=ORG)
    assert listed.said is not None
    assert listed.said.message == "upgrade"

    desk.control.pauses.resume(place, **WHO)
    drain(dispatcher)

    assert [desk.job(job).state for job in (lying, later)] == [State.QUEUED] * 2
    assert desk.control.pauses.list(org=ORG) == []


@pytest.mark.parametrize("gate", ["pause", "relay", "window"])
def test_what_is_handed_over_and_not_noted_yet_is_asked_back_too(
    desk: Desk, dispatcher: Dispatcher, publisher: FakePublisher, gate: str
) -> None:
    """Delivered ahead, it would begin by itself; what was told of the gate is left alone."""
    job = desk.submit("web1", not_before=NOW + HOUR / 2)
    dispatcher.send()

    if gate == "window":
        freeze = window("freeze", WindowKind.BLACKOUT, NOW + HOUR / 2, HOUR)
        desk.control.windows.create(freeze, **WHO)
    else:
        desk.control.pauses.pause(Place(org=ORG if gate == "pause" else None), **WHO)
    assert desk.orders() == []
    dispatcher.note()

    assert [parcel.queue for parcel in publisher.published] == ["node.web1"]
    assert [(order.job, order.verb) for order in desk.orders()] == [(job, Verb.WITHDRAW)]


def test_what_was_told_when_its_window_closes_is_not_asked_back_when_noted(
    desk: Desk, dispatcher: Dispatcher
) -> None:
    """Not even if its node said that it has it before we noted that it would."""
    freeze = window("freeze", WindowKind.BLACKOUT, NOW + HOUR, HOUR)
    desk.control.windows.create(freeze, **WHO)
    quiet, quick = desk.submit("web1"), desk.submit("web2")

    dispatcher.send()
    desk.say(make_reply(quick, node="web2", stage=Stage.ACCEPTED))
    dispatcher.note()

    assert desk.orders() == []
    assert [desk.job(job).state for job in (quiet, quick)] == [State.QUEUED] * 2


def test_a_paused_node_keeps_no_other_from_beginning(desk: Desk, dispatcher: Dispatcher) -> None:
    desk.control.pauses.pause(Place(node="web1"), **WHO)
    job = desk.submit("web1", "web2")

    drain(dispatcher)

    states = [(run.state, run.wait_reason) for run in desk.runs(job)]
    assert states == [(State.WAITING, WaitReason.PAUSE), (State.QUEUED, None)]
    with pytest.raises(NotFound):
        desk.control.pauses.pause(Place(node="nowhere"), **WHO)
    with pytest.raises(NotFound):
        desk.control.pauses.pause(Place(org="other"), **WHO)


@pytest.mark.parametrize("gate", ["pause", "window"])
def test_what_is_held_up_while_its_gate_is_opened_goes_on(
    desk: Desk, dispatcher: Dispatcher, database: Database, gate: str
) -> None:
    """Whoever opens it does not see what another transaction has not committed yet."""
    if gate == "pause":
        desk.control.pauses.pause(Place(org=ORG), **WHO)
    else:
        dark = window("freeze", WindowKind.BLACKOUT, NOW - HOUR, 20 * HOUR)
        desk.control.windows.create(dark, **WHO)
    job = desk.submit("web1")

    def lift() -> None:
        if gate == "pause":
            desk.control.pauses.resume(Place(org=ORG), **WHO)
        else:
            desk.control.windows.delete("freeze", **WHO)

    with ThreadPoolExecutor(1) as pool:
        with database.transaction() as connection:
            hold_up(connection, NOW, 100)
            lifting = pool.submit(lift)
            wait([lifting], timeout=0.5)  # it ends, or waits for this transaction
        lifting.result()
    drain(dispatcher)

    assert desk.job(job).state is State.QUEUED


@pytest.mark.parametrize("kind", list(WindowKind))
def test_a_plan_that_has_begun_goes_on_to_its_end(
    desk: Desk, dispatcher: Dispatcher, clock: Clock, kind: WindowKind
) -> None:
    """A window gates the start of a plan alone: none of its legs is kept from following."""
    plans = PlanDesk(desk.control, clock)
    plan = plans.plan(make_leg("first", "web1"), make_leg("then", "web1"), caller="bob")
    drain(dispatcher)
    plans.start(leg_id(plan, "first"))

    away = NOW if kind is WindowKind.BLACKOUT else NOW + 5 * HOUR
    desk.control.windows.create(window("change", kind, away, HOUR), **WHO)
    late = plans.submit("web2")
    plans.succeed(plan, "first", "web1")
    drain(dispatcher)

    assert plans.states(plan, "then") == [State.QUEUED]
    assert plans.job(late).wait_reason is WaitReason.WINDOW
