"""Relay: coordinators are told to pause and to end; one leads, and is followed."""

from datetime import timedelta

import pytest

from fleetjobs.control.jobs import Control
from fleetjobs.coordinator.lead import TTL, Lead
from fleetjobs.states import State
from fleetjobs.store.agenda import look_for_errands
from fleetjobs.store.database import Database
from fleetjobs.store.events import list_events
from tests.desk import WHO, Desk
from tests.makers import ORG, Clock, enroll

SECOND = timedelta(seconds=1)


@pytest.fixture
def desk(database: Database) -> Desk:
    """A desk with two nodes behind it."""
    enroll(database, "web1", "web2")
    clock = Clock()
    return Desk(Control(database, clock), clock)


def deliveries(desk: Desk) -> bool:
    """Whether the dispatcher finds something to hand over."""
    with desk.control.database.reading() as connection:
        return look_for_errands(connection, desk.clock()).deliveries


@pytest.mark.spec("S1-11")
def test_nothing_is_handed_over_while_the_relay_is_paused(desk: Desk) -> None:
    relay = desk.control.relay
    relay.pause("bob", "upgrade")
    relay.pause("eve")
    job = desk.submit("web1")

    assert not deliveries(desk)
    paused = relay.standing().paused
    assert paused is not None
    assert (paused.by, paused.message) == ("bob", "upgrade")
    assert desk.job(job).wait_reason == "outbox"
    relay.resume("bob")
    relay.resume("bob")

    assert deliveries(desk)
    assert relay.standing().paused is None


@pytest.mark.spec("S1-27")
def test_the_outbox_is_shown_and_cleared(desk: Desk) -> None:
    job = desk.submit("web1", "web2")
    later = desk.submit("web1", not_before=desk.clock() + timedelta(hours=5))
    relay = desk.control.relay

    first = relay.outbox(org=ORG, limit=1)
    second = relay.outbox(org=ORG, limit=1, cursor=first.next)
    assert [(item.job, item.node) for item in (*first.items, *second.items)] == [
        (job, "web1"),
        (job, "web2"),
    ]
    assert second.next is None
    assert relay.outbox(org="other", limit=10).items == []

    assert relay.clear(org="other", account="bob") == 0
    assert relay.clear(org=ORG, account="bob") == 2
    assert relay.clear(org=ORG, account="bob") == 0

    assert desk.job(job).state is State.CANCELLED
    assert desk.job(later).state is State.SCHEDULED


def lead(desk: Desk, holder: str, *gone: str) -> Lead:
    """A coordinator's lead."""
    return Lead(desk.control.database, desk.clock, holder, is_gone=lambda name: name in gone)


@pytest.mark.spec("S1-29")
def test_one_leads_and_the_other_follows_when_it_is_gone(desk: Desk) -> None:
    first, second = lead(desk, "a:1"), lead(desk, "b:2")
    assert (first.step(), second.step()) == (True, False)
    desk.later(TTL - SECOND)
    assert (first.step(), second.step()) == (True, False)
    assert desk.control.relay.standing().leader == "a:1"

    desk.later(TTL)
    assert not first.is_ours
    assert desk.control.relay.standing().leader is None
    assert second.step()

    assert second.is_ours
    assert not first.step()


@pytest.mark.spec("S1-29")
def test_who_ends_in_order_or_died_beside_us_is_followed_at_once(desk: Desk) -> None:
    first, second, third = lead(desk, "a:1"), lead(desk, "a:2"), lead(desk, "a:3", "a:2")
    first.step()
    first.end()

    assert second.step()
    assert third.step()


@pytest.mark.spec("S1-28")
def test_those_at_work_end_when_they_are_told_and_later_ones_do_not(desk: Desk) -> None:
    first = lead(desk, "a:1")
    first.step()
    desk.later(SECOND)

    desk.control.relay.stop("bob", "moving house")
    first.step()
    assert first.stopped.is_set()
    first.end()

    standing = desk.control.relay.standing()
    assert standing.leader is None
    assert standing.stopped is not None
    assert standing.stopped.message == "moving house"
    with desk.control.database.reading() as connection:
        events = list_events(connection, org=None, limit=100)
    (stopped,) = [event for event in events if event.kind == "coordinator.stopped"]
    assert stopped.detail["message"] == "moving house"
    desk.later(SECOND)
    second = lead(desk, "a:2")
    assert second.step()
    assert not second.stopped.is_set()


def test_orders_go_out_while_the_relay_is_paused(desk: Desk) -> None:
    job = desk.submit("web1")
    desk.hand_over()
    desk.control.relay.pause("bob")

    desk.control.verbs.cancel(job, **WHO)

    with desk.control.database.reading() as connection:
        assert look_for_errands(connection, desk.clock()).orders
