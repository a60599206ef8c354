"""Nodes come and go; what one leaves undone is on record."""

from datetime import timedelta

import pytest

from fleetjobs.control import nodes as module
from fleetjobs.control.jobs import Control
from fleetjobs.errors import Conflict, NoNodes, NotFound
from fleetjobs.messages import Stage, Verb
from fleetjobs.names import NodeId
from fleetjobs.signing import SigningKey, node_key_id
from fleetjobs.states import Reason, State
from fleetjobs.store.database import Database
from fleetjobs.store.events import list_events
from fleetjobs.store.nodes import get_node, node_keys
from tests.desk import MINUTE, WHO, Desk
from tests.makers import ORG, Clock, enroll, make_reply

OLD = NodeId("old1")


@pytest.fixture
def desk(database: Database) -> Desk:
    """A desk with two nodes behind it, heard of two minutes ago."""
    enroll(database, "old1", "web1")
    clock = Clock()
    clock.forward(2 * MINUTE)
    return Desk(Control(database, clock), clock)


def test_what_a_removed_node_had_to_do_has_failed_in_writing(desk: Desk) -> None:
    later = desk.submit("old1", not_before=desk.clock() + timedelta(days=1))
    at_work, accepted, ended = (desk.submit("old1", "web1") for _ in range(3))
    desk.hand_over()
    desk.start(at_work, "old1")
    desk.say(make_reply(accepted, "old1", stage=Stage.ACCEPTED), make_reply(ended, "old1"))

    assert desk.control.nodes.remove(OLD, **WHO) == 3

    for job in (later, at_work, accepted):
        run = desk.run(job, "old1")
        assert (run.state, run.reason) == (State.FAILED, Reason.NODE_REMOVED)
        assert run.statusmsg == "old1 was taken off the fleet"
    assert desk.job(later).state is State.FAILED
    assert desk.run(ended, "old1").state is State.SUCCEEDED
    assert desk.run(at_work, "web1").state is State.QUEUED
    orders = {(order.job, order.node, order.verb) for order in desk.orders()}
    assert orders == {(job, "old1", Verb.STOP) for job in (at_work, accepted)}


def test_a_removed_node_is_neither_believed_nor_picked(desk: Desk) -> None:
    desk.control.nodes.remove(OLD, **WHO)

    with desk.control.database.reading() as connection:
        assert get_node(connection, OLD, org=ORG) is None
        assert OLD not in node_keys(connection)
        kinds = [event.kind for event in list_events(connection, org=ORG, limit=1000)]
    assert "node.removed" in kinds
    with pytest.raises(NoNodes):
        desk.submit("old1")
    with pytest.raises(NotFound):
        desk.control.nodes.remove(OLD, **WHO)


def test_a_living_node_is_removed_by_force_only(desk: Desk) -> None:
    desk.beat("old1")

    with pytest.raises(Conflict, match="old1 lives"):
        desk.control.nodes.remove(OLD, **WHO)

    assert desk.control.nodes.remove(OLD, force=True, **WHO) == 0


def test_a_node_of_another_org_is_not_there_to_be_removed(desk: Desk) -> None:
    with pytest.raises(NotFound):
        desk.control.nodes.remove(OLD, org="other", account="eve")


def test_a_node_with_much_to_do_is_removed_part_by_part(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    jobs = [desk.submit("old1") for _ in range(5)]

    assert desk.control.nodes.remove(OLD, **WHO) == 5

    assert {desk.job(job).state for job in jobs} == {State.FAILED}


def test_a_node_may_come_back_with_another_key(desk: Desk) -> None:
    key = SigningKey.generate(node_key_id("old1")).verify_key
    with pytest.raises(Conflict):
        desk.control.nodes.enroll(OLD, key, **WHO)
    desk.control.nodes.remove(OLD, **WHO)

    assert desk.control.nodes.enroll(OLD, key, **WHO)
    assert not desk.control.nodes.enroll(OLD, key, **WHO)
