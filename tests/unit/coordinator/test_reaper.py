"""The reaper: asks after what is silent, ends what is overdue."""

from datetime import timedelta

import pytest

from fleetjobs.coordinator.dispatcher import ASK_AFTER, Dispatcher
from fleetjobs.coordinator.reaper import Reaper
from fleetjobs.signing import COORDINATOR, SigningKey
from fleetjobs.states import State
from fleetjobs.store.bells import CHANGES, DISPATCH
from fleetjobs.store.database import Database
from fleetjobs.store.jobs import get_job
from fleetjobs.store.nodes import save_beats
from tests.makers import NOW, Clock, enroll, keep_job, make_beat
from tests.unit.coordinator.fakes import FakePublisher


@pytest.fixture
def reaper(database: Database, clock: Clock) -> Reaper:
    """A reaper."""
    return Reaper(database, clock)


def test_nothing_overdue_is_nothing_done(reaper: Reaper, database: Database) -> None:
    keep_job(database, "web1")

    assert reaper.step() == 0


def test_a_job_nobody_started_in_time_expires(
    reaper: Reaper, database: Database, clock: Clock
) -> None:
    job = keep_job(database, "web1", start_before=NOW + timedelta(minutes=1)).id
    listener = database.listen(CHANGES)
    clock.forward(timedelta(minutes=1))

    assert reaper.step() == 1

    with database.reading() as connection:
        found = get_job(connection, job, org=None)
    assert found is not None
    assert found.state is State.EXPIRED
    assert listener.wait(5.0) == [job]
    listener.close()


def test_a_silent_run_is_handed_over_again(
    reaper: Reaper, database: Database, clock: Clock
) -> None:
    """The same attempt once more is the question; the node answers it, and starts nothing."""
    enroll(database, "web1")
    keep_job(database, "web1")
    publisher = FakePublisher()
    dispatcher = Dispatcher(database, publisher, SigningKey.generate(COORDINATOR), clock)
    dispatcher.step()
    listener = database.listen(DISPATCH)
    now = clock.forward(ASK_AFTER)
    with database.transaction() as connection:
        save_beats(connection, [make_beat(at=now, inventory=None)], now)

    assert reaper.step() == 1
    assert listener.wait(5.0) == [""]
    assert dispatcher.step() == 1

    first, second = (parcel.headers["id"] for parcel in publisher.published)
    assert first == second
    assert reaper.step() == 0
    listener.close()
