"""The dispatcher: published first, noted afterwards; signed for one node each."""

from datetime import timedelta

import pytest

from fleetjobs.broker.tasks import read_documents
from fleetjobs.coordinator.dispatcher import BATCH, SICK_PAUSE, Dispatcher
from fleetjobs.documents import decode
from fleetjobs.errors import BrokerAway
from fleetjobs.messages import Delivery
from fleetjobs.names import NodeId
from fleetjobs.signing import COORDINATOR, SigningKey, digest, unseal
from fleetjobs.states import Reason, State
from fleetjobs.store.accepting import insert_job
from fleetjobs.store.bells import CHANGES, DISPATCH
from fleetjobs.store.database import Database, ring
from fleetjobs.store.jobs import get_job
from fleetjobs.store.runs import get_run, get_runs
from tests.makers import NOW, Clock, enroll, keep_job, make_job
from tests.unit.coordinator.fakes import FakePublisher

KEY = SigningKey.generate(COORDINATOR)


@pytest.fixture
def publisher() -> FakePublisher:
    """A broker that takes everything."""
    return FakePublisher()


@pytest.fixture
def dispatcher(database: Database, publisher: FakePublisher, clock: Clock) -> Dispatcher:
    """A dispatcher on both."""
    return Dispatcher(database, publisher, KEY, clock)


def test_nothing_due_is_nothing_done(dispatcher: Dispatcher, publisher: FakePublisher) -> None:
    assert dispatcher.step() == 0
    assert publisher.published == []


def test_each_node_gets_a_delivery_of_its_own(
    dispatcher: Dispatcher, database: Database, publisher: FakePublisher
) -> None:
    keys = enroll(database, "web1", "web2", alive=False)
    job = keep_job(database, "web1", "web2", sealed="the.sealed.request")

    assert dispatcher.step() == 2

    assert [parcel.queue for parcel in publisher.published] == ["node.web1", "node.web2"]
    documents = read_documents(publisher.published[0].body)
    sealed, request = documents["delivery"], documents["request"]
    signer, payload = unseal(sealed, {COORDINATOR: KEY.verify_key})
    assert signer == COORDINATOR
    assert request == "the.sealed.request"
    assert decode(Delivery, payload) == Delivery(
        job=job.id,
        node="web1",
        attempt=1,
        request=digest(request),
        key=keys[0].verify_key.text,
        issued_at=NOW,
        start_before=job.start_before,
    )


def test_what_was_handed_over_is_noted_and_rung(dispatcher: Dispatcher, database: Database) -> None:
    enroll(database, "web1", alive=False)
    job = keep_job(database, "web1").id
    listener = database.listen(CHANGES)

    dispatcher.step()

    assert listener.wait(5.0) == [job]
    assert dispatcher.step() == 0
    with database.reading() as connection:
        run = get_run(connection, job, NodeId("web1"))
    assert run is not None
    assert (run.state, run.queued_at) == (State.QUEUED, NOW)
    listener.close()


def test_nothing_is_noted_while_the_broker_is_away(
    dispatcher: Dispatcher, database: Database, publisher: FakePublisher
) -> None:
    enroll(database, "web1", alive=False)
    job = keep_job(database, "web1").id
    publisher.away = True

    with pytest.raises(BrokerAway):
        dispatcher.step()

    with database.reading() as connection:
        found = get_job(connection, job, org=None)
    assert found is not None
    assert found.state is State.WAITING
    publisher.away = False
    assert dispatcher.step() == 1


def test_large_jobs_go_in_batches(dispatcher: Dispatcher, database: Database) -> None:
    enroll(database, *(f"n{number}" for number in range(BATCH + 1)), alive=False)
    keep_job(database, *(f"n{number}" for number in range(BATCH + 1)))

    assert [dispatcher.step() for _ in range(3)] == [BATCH, 1, 0]


def test_a_sick_queue_holds_up_nobody_else(
    dispatcher: Dispatcher, database: Database, publisher: FakePublisher, clock: Clock
) -> None:
    """What the broker did confirm counts; what it did not is tried again later."""
    enroll(database, "web1", "web2", alive=False)
    job = keep_job(database, "web1", "web2").id
    publisher.sick = {"node.web1"}

    assert dispatcher.step() == 2
    assert dispatcher.step() == 0

    with database.reading() as connection:
        runs = get_runs(connection, [(job, NodeId("web1")), (job, NodeId("web2"))])
    states = {node: run.state for (_, node), run in runs.items()}
    assert states == {"web1": State.WAITING, "web2": State.QUEUED}
    publisher.sick = set()
    clock.forward(SICK_PAUSE)
    assert dispatcher.step() == 1


@pytest.mark.spec("T16")
def test_the_broker_is_given_no_times_to_keep(
    dispatcher: Dispatcher, database: Database, publisher: FakePublisher, clock: Clock
) -> None:
    """A time that a broker keeps fires again when its message is redelivered."""
    enroll(database, "web1", alive=False)
    keep_job(database, "web1", not_before=NOW + timedelta(minutes=30))
    clock.forward(timedelta(minutes=30))

    assert dispatcher.step() == 1

    (parcel,) = publisher.published
    assert (parcel.headers["eta"], parcel.headers["expires"]) == (None, None)
    assert not {"expiration", "x-delay"} & {*parcel.properties, *parcel.headers}
    delivery = decode(
        Delivery, unseal(read_documents(parcel.body)["delivery"], {COORDINATOR: KEY.verify_key})[1]
    )
    assert delivery.not_before == NOW + timedelta(minutes=30)


@pytest.mark.spec("T10", "S4-04")
def test_what_is_not_committed_is_not_handed_over(
    dispatcher: Dispatcher, database: Database, publisher: FakePublisher
) -> None:
    enroll(database, "web1", alive=False)
    listener = database.listen(DISPATCH)
    with database.transaction() as connection:
        job = make_job()
        insert_job(connection, job, [NodeId("web1")], meaning="m", dispatch_at=NOW)
        ring(connection, DISPATCH)

        assert dispatcher.step() == 0
        assert listener.wait(0.1) is None

    assert listener.wait(5.0) == [""]
    assert dispatcher.step() == 1
    assert len(publisher.published) == 1
    listener.close()


def test_a_pass_tells_when_more_will_be_due(dispatcher: Dispatcher, database: Database) -> None:
    """So that nobody has to look every second whether a job of tomorrow is due."""
    assert dispatcher.send().next_at is None
    later, sooner = NOW + timedelta(hours=3), NOW + timedelta(seconds=2)
    keep_job(database, "web1", not_before=later)
    keep_job(database, "web2", not_before=sooner)
    enroll(database, "web3", alive=False)
    keep_job(database, "web3")

    sent = dispatcher.send()

    assert (sent.number, sent.next_at) == (1, sooner)


def test_what_is_due_on_a_node_that_is_no_more_has_failed(
    dispatcher: Dispatcher, database: Database, publisher: FakePublisher
) -> None:
    """It was accepted while the node was taken off, or undoes what was done there before."""
    enroll(database, "web1", alive=False)
    job = keep_job(database, "web1", "gone1", start_before=None).id

    while dispatcher.step():
        pass

    with database.reading() as connection:
        runs = get_runs(connection, [(job, NodeId("web1")), (job, NodeId("gone1"))])
    found = {node: (run.state, run.reason) for (_, node), run in runs.items()}
    assert found == {
        "web1": (State.QUEUED, None),
        "gone1": (State.FAILED, Reason.NODE_REMOVED),
    }
    assert {parcel.queue for parcel in publisher.published} >= {"node.web1"}
