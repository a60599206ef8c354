"""Twins: two machines under one identity are noticed by their beats, and a restart is none."""

from datetime import datetime, timedelta

import pytest

from fleetjobs.coordinator.reaper import Reaper
from fleetjobs.messages import Beat
from fleetjobs.names import NodeId
from fleetjobs.nodes import TWIN_SHOWN, has_twin
from fleetjobs.store.database import Database
from fleetjobs.store.events import list_events
from fleetjobs.store.nodes import get_node, save_beats
from tests.makers import NOW, ORG, Clock, enroll, make_beat

MINUTE = timedelta(minutes=1)
FIRST, SECOND = NOW - 60 * MINUTE, NOW - 10 * MINUTE  # when their workers started


def beat(started_at: datetime, at: datetime) -> Beat:
    """web1 lives, says the worker that started then."""
    return make_beat("web1", started_at=started_at, at=at, inventory=None)


def hear(database: Database, now: datetime, *beats: Beat) -> None:
    """They come in one batch."""
    with database.transaction() as connection:
        save_beats(connection, beats, now)


def is_doubled(database: Database, now: datetime) -> bool:
    """Whether web1 counts as two machines."""
    with database.reading() as connection:
        node = get_node(connection, NodeId("web1"), org=ORG)
    assert node is not None
    return has_twin(node, now)


def kinds(database: Database) -> list[str]:
    """What is logged of nodes."""
    with database.reading() as connection:
        found = list_events(connection, org=None, kinds=["node."], limit=1000)
    return [event.kind for event in found if event.node == "web1"]


@pytest.mark.parametrize("at_once", [False, True])
def test_beats_of_two_workers_in_turns_are_of_twins(database: Database, *, at_once: bool) -> None:
    enroll(database, "web1")
    beats = [beat(SECOND, NOW + MINUTE), beat(FIRST, NOW + 1.1 * MINUTE)]
    beats += [beat(SECOND, NOW + 1.2 * MINUTE)]

    if at_once:
        hear(database, NOW + MINUTE, *beats)
    else:
        for each in beats:
            hear(database, each.at, each)

    assert is_doubled(database, NOW + 2 * MINUTE)


@pytest.mark.parametrize("at_once", [False, True])
def test_a_worker_that_was_started_again_is_no_twin(database: Database, *, at_once: bool) -> None:
    """Also if the last beat of the one before comes late, or twice."""
    enroll(database, "web1")
    started = NOW + MINUTE
    last = beat(FIRST, started - timedelta(seconds=5))
    beats = [last, beat(started, started), last, beat(started, started + MINUTE)]

    if at_once:
        hear(database, started + MINUTE, *beats)
    else:
        for each in beats:
            hear(database, started + MINUTE, each)

    assert not is_doubled(database, started + MINUTE)


@pytest.mark.spec("F12")
def test_a_twin_is_logged_once_and_once_more_when_it_is_gone(database: Database) -> None:
    enroll(database, "web1")
    clock = Clock()
    reaper = Reaper(database, clock)
    for minute in range(1, 4):
        hear(database, NOW, beat(SECOND, NOW + minute * MINUTE))
        hear(database, NOW, beat(FIRST, NOW + (minute + 0.5) * MINUTE))
        reaper.step()
    assert kinds(database).count("node.twin") == 1

    clock.forward(TWIN_SHOWN + MINUTE)
    reaper.step()
    reaper.step()

    assert kinds(database)[-2:] == ["node.twin", "node.twin_gone"]
    assert not is_doubled(database, clock())
