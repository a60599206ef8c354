"""Expected: what was handed over a moment ago is noted once, with its end or without."""

from datetime import timedelta

from fleetjobs.coordinator.collector import Collector
from fleetjobs.coordinator.dispatcher import PATIENCE, Dispatcher
from fleetjobs.coordinator.expected import Expected
from fleetjobs.documents import encode
from fleetjobs.errors import DatabaseAway
from fleetjobs.messages import Stage
from fleetjobs.names import JobId, NodeId
from fleetjobs.signing import COORDINATOR, SigningKey
from fleetjobs.states import State
from fleetjobs.store.database import Database
from fleetjobs.store.events import list_events
from fleetjobs.store.runs import get_runs
from tests.makers import NOW, ORG, Clock, enroll, keep_job, make_reply
from tests.unit.coordinator.fakes import FakePublisher, FakeSubscriber

KEY = SigningKey.generate(COORDINATOR)


def states(database: Database, job: JobId, *nodes: str) -> list[State]:
    """How the runs stand."""
    with database.reading() as connection:
        runs = get_runs(connection, [(job, NodeId(node)) for node in nodes])
    return [runs[job, NodeId(node)].state for node in nodes]


def test_a_run_that_has_ended_is_not_noted_as_handed_over(database: Database, clock: Clock) -> None:
    """The end says so itself: one transaction, and the log reads the same."""
    keys = dict(zip(("web1", "web2"), enroll(database, "web1", "web2"), strict=True))
    job = keep_job(database, "web1", "web2").id
    dispatcher = Dispatcher(database, FakePublisher(), KEY, clock)
    queue = FakeSubscriber([keys["web1"].seal(encode(make_reply(job))).encode()])
    collector = Collector(database, queue, clock, expected=dispatcher.expected)

    dispatcher.send()
    assert states(database, job, "web1", "web2") == [State.WAITING, State.WAITING]
    collector.step()
    assert len(dispatcher.expected) == 1
    dispatcher.note()

    assert states(database, job, "web1", "web2") == [State.SUCCEEDED, State.QUEUED]
    assert len(dispatcher.expected) == 0
    with database.reading() as connection:
        log = list_events(connection, org=ORG, job=job, limit=100, kinds=["run."])
    moves = [event.kind for event in log if event.node == "web1"]
    assert moves == ["run.queued", "run.running", "run.succeeded"]
    clock.forward(timedelta(seconds=1))
    assert dispatcher.send().number == 0


def test_what_was_handed_over_is_not_sent_again_before_it_is_noted(
    database: Database, clock: Clock
) -> None:
    """And noted in time though the time of day is set back meanwhile."""
    enroll(database, "web1", "web2", alive=False)
    job = keep_job(database, "web1").id
    publisher, passed = FakePublisher(), [0.0]
    dispatcher = Dispatcher(database, publisher, KEY, clock, expected=Expected(lambda: passed[0]))

    dispatcher.send()
    later = keep_job(database, "web2").id
    dispatcher.send()

    assert [parcel.queue for parcel in publisher.published] == ["node.web1", "node.web2"]
    assert states(database, job, "web1") == [State.WAITING]
    clock.forward(timedelta(hours=-1))
    passed[0] += PATIENCE.total_seconds()
    dispatcher.send()
    assert states(database, job, "web1") + states(database, later, "web2") == [State.QUEUED] * 2
    assert len(publisher.published) == 2


def test_only_an_end_takes_a_run_out(database: Database, clock: Clock) -> None:
    """One that has merely started still has to be noted, or it would be sent once more."""
    enroll(database, "web1", alive=False)
    job = keep_job(database, "web1").id
    dispatcher = Dispatcher(database, FakePublisher(), KEY, clock)
    dispatcher.send()

    with dispatcher.expected.ending([make_reply(job, stage=Stage.STARTED, started_at=NOW)]):
        assert not dispatcher.expected.is_moving

    assert len(dispatcher.expected) == 1


def test_a_run_whose_end_is_being_written_is_not_noted(database: Database, clock: Clock) -> None:
    """Unless all are asked for; and if its end could not be written, it is noted after all."""
    enroll(database, "web1", alive=False)
    job = keep_job(database, "web1").id
    dispatcher = Dispatcher(database, FakePublisher(), KEY, clock)
    dispatcher.send()

    ending = dispatcher.expected.ending([make_reply(job)])
    ending.__enter__()
    assert dispatcher.expected.is_moving
    dispatcher.note(timedelta(0))
    assert states(database, job, "web1") == [State.WAITING]
    away = DatabaseAway("it does not answer")
    assert not ending.__exit__(DatabaseAway, away, None)

    assert not dispatcher.expected.is_moving
    dispatcher.note(timedelta(0))
    assert states(database, job, "web1") == [State.QUEUED]
