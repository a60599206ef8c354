"""Splay: nodes begin spread over some time, each at its own place, the same every time."""

from datetime import timedelta

import pytest

from fleetjobs.control.jobs import Control
from fleetjobs.errors import InvalidTime
from fleetjobs.rollouts import Rollout
from fleetjobs.splay import splay_of
from fleetjobs.states import State
from fleetjobs.store.database import Database
from tests.desk import Desk
from tests.makers import NOW, Clock, enroll, make_reply

NODES = tuple(f"web{number}" for number in range(1, 9))
TEN_MINUTES = 600.0


@pytest.fixture
def desk(database: Database) -> Desk:
    """A desk with eight nodes."""
    enroll(database, *NODES)
    clock = Clock()
    return Desk(Control(database, clock), clock)


def test_each_node_begins_at_its_place_and_none_too_late(desk: Desk) -> None:
    """A splay longer than what is delivered ahead: who knows it is not told too soon either."""
    job = desk.submit(*NODES, splay_s=TEN_MINUTES)

    found = desk.job(job)
    assert (found.state, found.tally) == (State.SCHEDULED, {State.SCHEDULED: 8})
    assert found.start_before == NOW + timedelta(hours=24, seconds=TEN_MINUTES)
    given = desk.handovers()
    starts = {item.node: item.not_before for item in given}
    assert starts == {node: NOW + splay_of(job, node, TEN_MINUTES) for node in NODES}
    assert len(set(starts.values())) == 8
    assert max(starts.values()) - min(starts.values()) > timedelta(minutes=2)
    desk.say(*(make_reply(job, node) for node in NODES))
    assert desk.job(job).state is State.SUCCEEDED


def test_what_waits_for_another_is_spread_from_when_that_ended(desk: Desk) -> None:
    from fleetjobs.requests import After

    first = desk.submit("web1")
    second = desk.submit("web1", "web2", splay_s=TEN_MINUTES, after=(After(job=first),))
    desk.hand_over()
    desk.clock.forward(timedelta(hours=1))
    desk.say(make_reply(first))

    starts = {item.node: item.not_before for item in desk.handovers()}

    assert starts == {
        node: desk.clock() + splay_of(second, node, TEN_MINUTES) for node in ("web1", "web2")
    }


def test_held_and_released_a_node_keeps_its_place(desk: Desk) -> None:
    job = desk.submit("web1", splay_s=TEN_MINUTES, not_before=NOW + timedelta(hours=3))
    desk.control.verbs.hold(job, org="acme", account="bob")
    desk.control.verbs.release(job, org="acme", account="bob")

    desk.clock.forward(timedelta(hours=3))

    place = splay_of(job, "web1", TEN_MINUTES)
    assert [item.not_before for item in desk.handovers()] == [NOW + timedelta(hours=3) + place]


def test_an_edit_spreads_the_nodes_anew(desk: Desk) -> None:
    """Also those that had their place on a node already; less splay is no less possible."""
    later = NOW + timedelta(minutes=30)
    job = desk.submit("web1", "web2", splay_s=TEN_MINUTES, not_before=later)
    desk.hand_over()

    desk.edit(job, splay_s=60.0, priority=3)
    desk.obey()
    there = {item.node: item.not_before for item in desk.handovers()}
    desk.edit(job, splay_s=0.0)
    desk.obey()

    assert there == {node: later + splay_of(job, node, 60.0) for node in ("web1", "web2")}
    assert desk.job(job).priority == 3
    assert {item.not_before for item in desk.handovers()} == {later}


def test_a_splay_that_leaves_no_time_is_refused(desk: Desk) -> None:
    with pytest.raises(InvalidTime, match="last nodes"):
        desk.submit("web1", splay_s=TEN_MINUTES, start_before=NOW + timedelta(minutes=5))
    with pytest.raises(InvalidTime, match="batches"):
        desk.submit("web1", splay_s=TEN_MINUTES, rollout=Rollout(batch=1))
