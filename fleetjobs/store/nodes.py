"""Nodes in the database, and the interfaces of their agents."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import (
    Connection,
    Executable,
    RowMapping,
    bindparam,
    delete,
    func,
    literal,
    select,
    true,
    update,
)

from fleetjobs.access import FLEET
from fleetjobs.errors import Conflict, InvalidInterface
from fleetjobs.interfaces import Interface, read_interface
from fleetjobs.messages import Beat, Inventory
from fleetjobs.names import NodeId
from fleetjobs.nodes import Node
from fleetjobs.signing import VerifyKey, digest
from fleetjobs.store import dialect
from fleetjobs.store.limits import declare
from fleetjobs.store.schema.nodes import interfaces, node_agents, nodes
from fleetjobs.store.twins import twin_column, twin_values


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """An interface, and on how many nodes it is."""

    digest: str  # SHA-256 of the document, names it
    interface: Interface
    nodes: int


def enroll_node(
    connection: Connection, identity: NodeId, org: str, key: VerifyKey, now: datetime
) -> bool:
    """Let a node in; False if it was in already. Raises Conflict if it has another org or key."""
    row = {
        "identity": identity,
        "org": org,
        "verify_key": key.text,
        "enrolled_at": now,
        "running": 0,
        "waiting": 0,
        "facts": {},
        "classes": [],
        "agents": {},
        "refused": {},
    }
    statement = dialect.insert(connection, nodes).values(row).on_conflict_do_nothing()
    if connection.execute(statement.returning(nodes.c.identity)).first() is not None:
        return True
    found = connection.execute(
        select(nodes.c.org, nodes.c.verify_key).where(nodes.c.identity == identity)
    ).one()
    if (found.org, found.verify_key) != (org, key.text):
        raise Conflict(f"the node {identity} is enrolled already, with another key or org")
    return False


def node_keys(connection: Connection) -> dict[NodeId, VerifyKey]:
    """The keys that nodes sign by."""
    query = select(nodes.c.identity, nodes.c.verify_key)
    return {row.identity: VerifyKey.from_text(row.verify_key) for row in connection.execute(query)}


def get_node(connection: Connection, identity: NodeId, *, org: str | None) -> Node | None:
    """The node; None if there is none, or it is not that org's. `org` None: whosever it is."""
    found = list_nodes(connection, org, identities=[identity])
    return found[0] if found else None


def list_nodes(
    connection: Connection,
    org: str | None,
    *,
    identities: Sequence[str] | None = None,
    with_facts: bool = True,
) -> list[Node]:
    """The org's nodes by name, those of them with these identities if given; the fleet has all.

    Facts are most of the work; without them they are empty.
    """
    query = _listing(with_facts, org not in {None, FLEET}, identities is not None)
    values = {"org": org, "identities": identities}
    return [_node(row) for row in connection.execute(query, values).mappings()]


@cache
def _listing(with_facts: bool, of_org: bool, named: bool) -> Executable:  # noqa: FBT001  a cache's key
    facts = nodes.c.facts if with_facts else literal({}, nodes.c.facts.type).label("facts")
    columns = [nodes.c[name] for name in Node.__slots__ if name != "facts"]
    query = select(*columns, facts).order_by(nodes.c.identity)
    if of_org:
        query = query.where(nodes.c.org == bindparam("org"))
    if named:
        query = query.where(nodes.c.identity.in_(bindparam("identities", expanding=True)))
    return query


def _node(row: RowMapping) -> Node:
    return Node(**{**row, "classes": frozenset(row["classes"])})


def nodes_heard(
    connection: Connection, identities: Sequence[NodeId], since: datetime
) -> set[NodeId]:
    """Which of these nodes were heard of since then."""
    wanted = dialect.names(sqlite=dialect.is_sqlite(connection))
    query = select(nodes.c.identity).join_from(wanted, nodes, nodes.c.identity == wanted.c.name)
    values = dialect.name_values(connection, identities)
    return set(connection.execute(query.where(nodes.c.seen_at >= since), values).scalars())


def orgs_of(connection: Connection, identities: Sequence[NodeId]) -> dict[NodeId, str]:
    """The orgs of these nodes, as far as they are enrolled."""
    if not identities:
        return {}
    query = select(nodes.c.identity, nodes.c.org).where(nodes.c.identity.in_(set(identities)))
    return {row.identity: row.org for row in connection.execute(query)}


def save_beats(connection: Connection, beats: Sequence[Beat], now: datetime) -> None:
    """Note the last word of each node; its last inventory stays until it sends another."""
    by_node: dict[str, list[Beat]] = {}
    for beat in sorted(beats, key=lambda beat: beat.at):
        by_node.setdefault(beat.node, []).append(beat)
    if not by_node:
        return
    columns = ("started_at", "software", "running", "waiting", "slots", "takes")
    values: dict[str, Any] = {name: bindparam(name) for name in columns}
    statement = update(nodes).where(nodes.c.identity == bindparam("_node"))
    connection.execute(
        statement.values(seen_at=now, twin_at=twin_column(now), **values),
        [
            {"_node": node, **twin_values(theirs)}
            | {name: getattr(theirs[-1], name) for name in columns}
            for node, theirs in sorted(by_node.items())  # one order for all writers: no deadlock
        ],
    )
    inventories = {beat.node: beat.inventory for beat in beats if beat.inventory is not None}
    _save_inventories(connection, inventories, now)


def _save_inventories(
    connection: Connection, inventories: dict[str, Inventory], now: datetime
) -> None:
    """Write those that say something new, each in the org of its node."""
    query = select(nodes.c.identity, nodes.c.org, nodes.c.inventory).where(
        nodes.c.identity.in_(sorted(inventories))
    )
    for row in connection.execute(query.order_by(nodes.c.identity)).all():
        inventory = inventories[row.identity]
        name = digest(msgspec.json.encode(inventory, order="deterministic"))
        if name != row.inventory:
            _save_inventory(connection, row.identity, row.org, inventory, name, now)


def _save_inventory(
    connection: Connection, node: NodeId, org: str, inventory: Inventory, name: str, now: datetime
) -> None:
    readable, refused = _sorted_out(inventory)
    declare(connection, readable.values(), org=org, now=now)
    for interface in sorted(readable):
        _save_interface(connection, interface, readable[interface])
    connection.execute(
        update(nodes)
        .where(nodes.c.identity == node)
        .values(
            facts=inventory.facts,
            classes=inventory.classes,
            agents={found.name: found.version for found in readable.values()},
            refused=refused,
            inventory=name,
        )
    )
    connection.execute(delete(node_agents).where(node_agents.c.node == node))
    rows = [
        {"node": node, "agent": found.name, "org": org, "interface": interface}
        for interface, found in readable.items()
    ]
    if rows:
        connection.execute(node_agents.insert(), rows)


def _sorted_out(inventory: Inventory) -> tuple[dict[str, Interface], dict[str, str]]:
    """The interfaces by digest, and the agents whose interface we cannot read."""
    readable: dict[str, Interface] = {}
    refused = dict(inventory.refused)
    for agent, document in inventory.interfaces.items():
        try:
            found = read_interface(document)
        except InvalidInterface as error:
            refused[agent] = str(error)
            continue
        if found.name != agent:
            refused[agent] = f"its interface is of {found.name!r:.70}"
        else:
            readable[digest(msgspec.json.encode(document, order="deterministic"))] = found
    return readable, refused


def _save_interface(connection: Connection, name: str, found: Interface) -> None:
    row: dict[str, Any] = {
        "digest": name,
        "agent": found.name,
        "version": found.version,
        "document": found.document,
    }
    statement = dialect.insert(connection, interfaces).values(row)
    connection.execute(statement.on_conflict_do_nothing())


def find_interface(connection: Connection, agent: str, org: str) -> Interface | None:
    """The interface that most of the org's nodes have for the agent; None if none has it."""
    offers = list_interfaces(connection, org, agent=agent)
    return max(offers, key=lambda offer: offer.nodes).interface if offers else None


def list_interfaces(
    connection: Connection, org: str | None, *, agent: str | None = None
) -> list[Offer]:
    """The interfaces on the org's nodes, by agent; one agent may have several."""
    count = func.count().label("nodes")
    query = (
        select(node_agents.c.interface, count)
        .where(true() if org in {None, FLEET} else node_agents.c.org == org)
        .group_by(node_agents.c.interface)
    )
    if agent is not None:
        query = query.where(node_agents.c.agent == agent)
    numbers = {row.interface: row.nodes for row in connection.execute(query)}
    found = read_interfaces(connection, list(numbers))
    offers = [
        Offer(digest=name, interface=found[name], nodes=number) for name, number in numbers.items()
    ]
    return sorted(offers, key=lambda offer: (offer.interface.name, -offer.nodes))


def node_interfaces(connection: Connection, node: NodeId) -> list[Interface]:
    """The interfaces of a node's agents, by name."""
    query = select(node_agents.c.interface).where(node_agents.c.node == node)
    found = read_interfaces(connection, list(connection.execute(query).scalars()))
    return sorted(found.values(), key=lambda interface: interface.name)


def interface_digests(connection: Connection, agent: str, picked: Sequence[NodeId]) -> set[str]:
    """Which interfaces the agent has on these nodes."""
    query = _digesting(sqlite=dialect.is_sqlite(connection))
    values = {"agent": agent, **dialect.name_values(connection, picked)}
    return set(connection.execute(query, values).scalars())


@cache
def _digesting(*, sqlite: bool) -> Executable:
    wanted = dialect.names(sqlite=sqlite)
    return (
        select(node_agents.c.interface)
        .join_from(wanted, node_agents, node_agents.c.node == wanted.c.name)
        .where(node_agents.c.agent == bindparam("agent"))
        .distinct()
    )


def read_interfaces(connection: Connection, digests: Sequence[str]) -> dict[str, Interface]:
    """The interfaces of these digests."""
    if not digests:
        return {}
    query = select(interfaces.c.digest, interfaces.c.document).where(
        interfaces.c.digest.in_(digests)
    )
    return {row.digest: read_interface(row.document) for row in connection.execute(query)}
