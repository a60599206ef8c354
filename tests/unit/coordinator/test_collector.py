"""The collector: believes nodes by their keys, counts once, acknowledges after the commit."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from fleetjobs.contract import Progress
from fleetjobs.coordinator import collector as module
from fleetjobs.coordinator.collector import BATCH, Collector
from fleetjobs.crashpoints import CrashPoint, crash_point
from fleetjobs.documents import Document, encode
from fleetjobs.errors import DatabaseAway
from fleetjobs.jobs import Event
from fleetjobs.messages import Headway, Refusal, Replies, RunHeadway, Stage
from fleetjobs.names import JobId, NodeId
from fleetjobs.signing import SigningKey
from fleetjobs.states import State
from fleetjobs.store.bells import CHANGES
from fleetjobs.store.database import Database
from fleetjobs.store.events import list_events
from fleetjobs.store.nodes import get_node
from fleetjobs.store.runs import get_run
from tests.dying import Killed
from tests.makers import NOW, ORG, Clock, enroll, keep_job, make_beat, make_reply
from tests.unit.coordinator.fakes import FakeSubscriber


@pytest.fixture
def queue() -> FakeSubscriber:
    """The reply queue."""
    return FakeSubscriber()


@pytest.fixture
def key(database: Database) -> SigningKey:
    """The key of web1, which is enrolled."""
    (made,) = enroll(database, "web1", alive=False)
    return made


@pytest.fixture
def collector(database: Database, queue: FakeSubscriber, clock: Clock) -> Collector:
    """A collector of that queue."""
    return Collector(database, queue, clock)


def send(queue: FakeSubscriber, key: SigningKey, *documents: Document) -> None:
    """Put documents into the queue, sealed by the key."""
    queue.waiting += [key.seal(encode(document)).encode() for document in documents]


def state(database: Database, job: JobId, node: str = "web1") -> State:
    """How the run stands."""
    with database.reading() as connection:
        run = get_run(connection, job, NodeId(node))
    assert run is not None
    return run.state


def logged(database: Database, kind: str) -> list[Event]:
    """The events of that kind."""
    with database.reading() as connection:
        return list_events(connection, org=None, limit=100, kinds=[kind])


def test_a_reply_ends_its_run_and_rings(
    collector: Collector, database: Database, queue: FakeSubscriber, key: SigningKey
) -> None:
    job = keep_job(database, "web1").id
    listener = database.listen(CHANGES)
    send(queue, key, make_reply(job))

    assert collector.step() == 1

    assert state(database, job) is State.SUCCEEDED
    assert listener.wait(5.0) == [job]
    assert (queue.waiting, queue.taken) == ([], {})
    listener.close()


def test_progress_is_noted_beside_the_reply_it_comes_with(
    collector: Collector, database: Database, queue: FakeSubscriber, key: SigningKey
) -> None:
    """And rings, for those who watch."""
    job = keep_job(database, "web1").id
    listener = database.listen(CHANGES)
    told = RunHeadway(job=job, attempt=1, progress=Progress(percent=40, text="unpacking"))
    send(queue, key, make_reply(job, stage=Stage.STARTED), Headway(node="web1", runs=[told]))

    assert collector.step() == 2

    with database.reading() as connection:
        run = get_run(connection, job, NodeId("web1"))
    assert run is not None
    assert (run.percent, run.doing) == (40.0, "unpacking")
    assert (queue.taken, listener.wait(5.0)) == ({}, [job, job])
    listener.close()


def test_an_empty_queue_is_nothing_done(collector: Collector) -> None:
    assert collector.step() == 0


def test_a_beat_is_noted(
    collector: Collector, database: Database, queue: FakeSubscriber, key: SigningKey
) -> None:
    send(queue, key, make_beat())

    collector.step()

    with database.reading() as connection:
        node = get_node(connection, NodeId("web1"), org=ORG)
    assert node is not None
    assert (node.seen_at, node.agents) == (NOW, {"demo": "1.0.0"})


def test_a_refusal_is_logged_in_the_org_of_its_node(
    collector: Collector, database: Database, queue: FakeSubscriber, key: SigningKey
) -> None:
    refusal = Refusal(node="web1", at=NOW, code="stale", why="too old", message="00", task="t")
    send(queue, key, refusal)

    collector.step()

    (event,) = logged(database, "node.refused")
    assert (event.org, event.node, event.reason) == (ORG, "web1", "stale")
    assert event.detail["task"] == "t"


@pytest.mark.parametrize(
    "body", [b"", b"\xff\0rubbish", b"a.b.c", b"{}", b"." * 100_000, "ü".encode()]
)
def test_rubbish_is_on_record_and_gone(
    collector: Collector, database: Database, queue: FakeSubscriber, body: bytes
) -> None:
    queue.waiting = [body]

    collector.step()

    (event,) = logged(database, "reply.rejected")
    assert event.org is None
    assert event.reason == "unauthentic"
    assert len(event.detail["begins"]) < 500
    assert (queue.waiting, queue.taken) == ([], {})


def test_a_node_speaks_for_itself_only(
    collector: Collector, database: Database, queue: FakeSubscriber, key: SigningKey
) -> None:
    enroll(database, "web2")
    job = keep_job(database, "web2").id
    send(queue, key, make_reply(job, "web2"))

    collector.step()

    assert state(database, job, "web2") is State.WAITING
    (event,) = logged(database, "reply.rejected")
    assert event.reason == "unauthentic"


def test_a_stranger_is_not_believed(
    collector: Collector, database: Database, queue: FakeSubscriber, key: SigningKey
) -> None:
    job = keep_job(database, "web1").id
    send(queue, SigningKey.generate(key.id), make_reply(job))

    collector.step()

    assert state(database, job) is State.WAITING


def test_a_node_enrolled_meanwhile_is_believed(
    collector: Collector, database: Database, queue: FakeSubscriber, key: SigningKey, clock: Clock
) -> None:
    send(queue, key, make_beat())
    collector.step()
    (newcomer,) = enroll(database, "web2", alive=False)
    clock.forward(timedelta(seconds=2))

    send(queue, newcomer, make_beat("web2"))
    collector.step()

    assert logged(database, "reply.rejected") == []


def test_replies_that_come_together_count_once_each(
    collector: Collector, database: Database, queue: FakeSubscriber, key: SigningKey
) -> None:
    """However many there are; a transaction takes some of them, and the next one is not reached."""
    jobs = [keep_job(database, "web1").id for _ in range(3)]
    told = Replies(node="web1", replies=[make_reply(job) for job in jobs])
    send(queue, key, told, told)

    def die(point: CrashPoint) -> None:
        if point == "collector_between_parts":
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "AT_ONCE", 2)
        patch.setattr(module, "crash_point", die)
        with pytest.raises(Killed):
            collector.step()
        assert [state(database, job) for job in jobs] == [*[State.SUCCEEDED] * 2, State.WAITING]
        patch.setattr(module, "crash_point", crash_point)
        queue.reconnect()
        assert collector.step() == 2

    assert {state(database, job) for job in jobs} == {State.SUCCEEDED}
    assert len(logged(database, "run.succeeded")) == 3
    assert queue.taken == {}


@pytest.mark.spec("G8")
def test_a_stranger_among_replies_makes_all_of_them_unbelievable(
    collector: Collector, database: Database, queue: FakeSubscriber, key: SigningKey
) -> None:
    enroll(database, "web2", alive=False)
    mine, other = keep_job(database, "web1").id, keep_job(database, "web2").id
    told = [make_reply(mine), make_reply(other, "web2")]
    send(queue, key, Replies(node="web1", replies=told))

    collector.step()

    assert state(database, mine) is state(database, other, "web2") is State.WAITING
    assert len(logged(database, "reply.rejected")) == 1


def test_rubbish_among_good_replies_costs_none_of_them(
    collector: Collector, database: Database, queue: FakeSubscriber, key: SigningKey
) -> None:
    one, two = (keep_job(database, "web1").id for _ in range(2))
    send(queue, key, make_reply(one))
    queue.waiting.append(b"rubbish")
    send(queue, key, make_reply(two))

    assert collector.step() == 3

    assert [state(database, job) for job in (one, two)] == [State.SUCCEEDED] * 2


@pytest.fixture
def breaks_on(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Exception]]:
    """Jobs whose replies the database will not take, and what it says instead."""
    broken: dict[str, Exception] = {}
    apply_replies = module.apply_replies

    def apply(connection, replies, now, **how):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN003, ANN202  as the original
        for reply in replies:
            if reply.job in broken:
                raise broken[reply.job]
        return apply_replies(connection, replies, now, **how)

    monkeypatch.setattr(module, "apply_replies", apply)
    return broken


def test_nothing_is_acknowledged_while_the_database_is_away(
    collector: Collector,
    database: Database,
    queue: FakeSubscriber,
    key: SigningKey,
    breaks_on: dict[str, Exception],
) -> None:
    job = keep_job(database, "web1").id
    send(queue, key, make_reply(job))
    breaks_on[job] = DatabaseAway("gone")
    with pytest.raises(DatabaseAway):
        collector.step()
    assert len(queue.taken) == 1

    breaks_on.clear()
    queue.reconnect()
    collector.step()

    assert state(database, job) is State.SUCCEEDED


@pytest.mark.parametrize("together", [False, True])
def test_one_absurd_reply_does_not_hold_up_the_others(
    collector: Collector,
    database: Database,
    queue: FakeSubscriber,
    key: SigningKey,
    breaks_on: dict[str, Exception],
    together: bool,  # noqa: FBT001  pytest's way
) -> None:
    good, bad = (keep_job(database, "web1").id for _ in range(2))
    breaks_on[bad] = OverflowError("too large")
    replies = [make_reply(bad), make_reply(good)]
    send(queue, key, *([Replies(node="web1", replies=replies)] if together else replies))

    collector.step()

    assert state(database, good) is State.SUCCEEDED
    (event,) = logged(database, "reply.rejected")
    assert (event.reason, "too large" in event.detail["why"]) == ("internal", True)
    assert (queue.waiting, queue.taken) == ([], {})


def test_large_heaps_go_in_batches(
    collector: Collector, database: Database, queue: FakeSubscriber, key: SigningKey
) -> None:
    job = keep_job(database, "web1").id
    send(queue, key, *[make_reply(job)] * (BATCH + 1))

    assert [collector.step() for _ in range(3)] == [BATCH, 1, 0]
