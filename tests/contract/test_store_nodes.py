"""Nodes: who they are, that they live, and what their agents offer."""

from datetime import timedelta

import pytest

from fleetjobs.errors import Conflict
from fleetjobs.messages import Inventory
from fleetjobs.names import NodeId
from fleetjobs.nodes import Node
from fleetjobs.signing import SigningKey
from fleetjobs.store.database import Database
from fleetjobs.store.handovers import runs_to_dispatch
from fleetjobs.store.nodes import (
    enroll_node,
    find_interface,
    get_node,
    interface_digests,
    list_interfaces,
    list_nodes,
    node_keys,
    save_beats,
)
from tests.makers import NOW, ORG, add_org, demo_interface, enroll, keep_job, make_beat

WEB1 = NodeId("web1")


def node(database: Database, identity: NodeId = WEB1) -> Node:
    """The node, which is there."""
    with database.reading() as connection:
        found = get_node(connection, identity, org=ORG)
    assert found is not None
    return found


def test_an_enrolled_node_is_known_by_name_and_key(database: Database) -> None:
    (key,) = enroll(database, "web1", alive=False)

    assert (node(database).org, node(database).seen_at, node(database).facts) == (ORG, None, {})
    with database.reading() as connection:
        assert node_keys(connection) == {"web1": key.verify_key}


def test_enrolling_again_is_harmless_with_the_same_key_only(database: Database) -> None:
    (key,) = enroll(database, "web1")
    other = SigningKey.generate("x").verify_key
    before = node(database)

    with database.transaction() as connection:
        assert not enroll_node(connection, WEB1, ORG, key.verify_key, NOW)
        with pytest.raises(Conflict):
            enroll_node(connection, WEB1, ORG, other, NOW)

    assert node(database) == before


@pytest.mark.spec("G9")
def test_another_org_sees_no_node(database: Database) -> None:
    add_org(database, "other")
    enroll(database, "web1")

    with database.reading() as connection:
        assert get_node(connection, WEB1, org="other") is None
        assert list_nodes(connection, "other") == []
        assert list_interfaces(connection, "other") == []
        assert find_interface(connection, "demo", "other") is None


def test_a_beat_tells_what_the_node_is(database: Database) -> None:
    enroll(database, "web1", alive=False)

    with database.transaction() as connection:
        save_beats(connection, [make_beat(running=2, waiting=1)], NOW)

    found = node(database)
    assert (found.seen_at, found.software, found.running, found.waiting) == (NOW, "0.1.0", 2, 1)
    assert (found.facts, found.classes) == ({"os": "debian"}, {"web"})
    assert found.agents == {"demo": "1.0.0"}


def test_a_short_beat_leaves_the_inventory_as_it_is(database: Database) -> None:
    enroll(database, "web1")
    later = NOW + timedelta(seconds=10)

    with database.transaction() as connection:
        save_beats(connection, [make_beat(at=later, inventory=None)], later)

    assert node(database).seen_at == later
    assert node(database).agents == {"demo": "1.0.0"}


def test_how_many_deliveries_a_node_takes_is_known_when_they_are_handed_over(
    database: Database,
) -> None:
    """One, until it says more: it may be older than the coordinator."""
    enroll(database, "web1", alive=False)
    keep_job(database, "web1")

    for beats, takes in (([], 1), ([make_beat()], 1), ([make_beat(takes=50)], 50)):
        with database.transaction() as connection:
            save_beats(connection, beats, NOW)
            (found,) = runs_to_dispatch(connection, NOW, 10)
        assert found.node_takes == takes


def test_of_several_beats_the_last_counts(database: Database) -> None:
    enroll(database, "web1", alive=False)
    late = make_beat(at=NOW + timedelta(seconds=5), running=5, inventory=None)

    with database.transaction() as connection:
        save_beats(connection, [late, make_beat(running=1)], NOW)

    assert node(database).running == 5
    assert node(database).facts == {"os": "debian"}


def test_a_new_inventory_replaces_the_last(database: Database) -> None:
    enroll(database, "web1")
    for inventory in (
        Inventory(facts={"os": "bsd"}, interfaces={"demo": demo_interface("2.0.0")}),
        Inventory(facts={"os": "bsd"}),
        Inventory(facts={"os": "bsd"}),  # says nothing new
    ):
        with database.transaction() as connection:
            save_beats(connection, [make_beat(inventory=inventory)], NOW)

    assert (node(database).facts, node(database).agents) == ({"os": "bsd"}, {})
    with database.reading() as connection:
        assert list_interfaces(connection, ORG) == []


def test_a_beat_of_a_node_that_is_not_enrolled_leaves_no_trace(database: Database) -> None:
    with database.transaction() as connection:
        save_beats(connection, [make_beat("stranger")], NOW)

    with database.reading() as connection:
        assert list_nodes(connection, None) == []


def test_interfaces_are_kept_once_and_counted(database: Database) -> None:
    enroll(database, "web1", "web2", "web3")
    newer = Inventory(facts={}, interfaces={"demo": demo_interface("2.0.0")})
    with database.transaction() as connection:
        save_beats(connection, [make_beat("web3", inventory=newer)], NOW)

    with database.reading() as connection:
        offers = list_interfaces(connection, ORG)
        found = find_interface(connection, "demo", ORG)
        digests = interface_digests(connection, "demo", [NodeId("web1"), NodeId("web3")])
        same = interface_digests(connection, "demo", [NodeId("web1"), NodeId("web2")])

    assert [(o.interface.version, o.nodes) for o in offers] == [("1.0.0", 2), ("2.0.0", 1)]
    assert found is not None
    assert found.version == "1.0.0"
    assert digests == {offer.digest for offer in offers}
    assert same == {offers[0].digest}


def test_an_interface_that_cannot_be_read_is_left_out(database: Database) -> None:
    enroll(database, "web1", alive=False)
    broken = Inventory(
        facts={}, interfaces={"bad": {"metadata": 1}, "other": demo_interface()}, refused={"x": "y"}
    )

    with database.transaction() as connection:
        save_beats(connection, [make_beat(inventory=broken)], NOW)

    assert node(database).agents == {}


def test_nodes_are_listed_by_name_as_far_as_asked(database: Database) -> None:
    enroll(database, "web2", "web1", "db1")

    with database.reading() as connection:
        everyone = list_nodes(connection, ORG)
        some = list_nodes(connection, ORG, identities=["web1", "nobody"], with_facts=False)

    assert [found.identity for found in everyone] == ["db1", "web1", "web2"]
    assert [(found.identity, found.facts) for found in some] == [("web1", {})]
