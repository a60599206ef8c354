"""Leases and switches: which coordinator leads, and what all of them were told."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, select, update

from fleetjobs.store import dialect
from fleetjobs.store.schema.fleet import leases, switches

LEADER = "coordinator"  #: the lease of whoever hands over and reaps
RELAY = "relay"  #: the switch that keeps runs from being handed over
ORG, PAUSED_NODE = "org:", "node:"  #: begin the switches that keep those from beginning anything
STOP = "stop"  #: the switch that ends coordinators


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Who may do something, alone, and until when unless it is renewed."""

    holder: str  # host:pid
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """What a person told all coordinators."""

    at: datetime
    by: str
    message: str


def take_lease(
    connection: Connection, name: str, holder: str, now: datetime, ttl: timedelta
) -> bool:
    """Take the lease, or renew it; False if another one holds it."""
    until = now + ttl
    renewed = update(leases).where(leases.c.name == name, leases.c.holder == holder)
    if connection.execute(renewed.values(until=until)).rowcount:
        return True
    new = {"holder": holder, "since": now, "until": until}
    ended = update(leases).where(leases.c.name == name, leases.c.until <= now)
    if connection.execute(ended.values(new)).rowcount:
        return True
    first = dialect.insert(connection, leases).values(name=name, **new).on_conflict_do_nothing()
    return connection.execute(first.returning(leases.c.name)).first() is not None


def drop_lease(connection: Connection, name: str, holder: str) -> None:
    """Let another one have it at once."""
    connection.execute(delete(leases).where(leases.c.name == name, leases.c.holder == holder))


def read_lease(connection: Connection, name: str) -> Lease | None:
    """Who held it last; it may be over."""
    query = select(leases.c.holder, leases.c.since, leases.c.until).where(leases.c.name == name)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else Lease(**row)


def switch_on(connection: Connection, name: str, switch: Switch) -> None:
    """Tell it to all coordinators, now and later."""
    said = {"at": switch.at, "by": switch.by, "message": switch.message}
    statement = dialect.insert(connection, switches).values(name=name, **said)
    statement = statement.on_conflict_do_update(index_elements=[switches.c.name], set_=said)
    connection.execute(statement)


def switch_off(connection: Connection, name: str) -> bool:
    """Take it back; False if it was off."""
    return connection.execute(delete(switches).where(switches.c.name == name)).rowcount > 0


def read_switch(connection: Connection, name: str) -> Switch | None:
    """What was told; None if it is off."""
    query = select(switches.c.at, switches.c.by, switches.c.message)
    row = connection.execute(query.where(switches.c.name == name)).mappings().one_or_none()
    return None if row is None else Switch(**row)


def read_pauses(connection: Connection, *, lock: bool = False) -> frozenset[str]:
    """The switches of what begins nothing: the relay, orgs, nodes.

    With `lock` none of them is switched off before the transaction ends.
    """
    query = _PAUSES.with_for_update(read=True) if lock else _PAUSES
    return frozenset(connection.execute(query).scalars())


_PAUSES = select(switches.c.name).where(switches.c.name != STOP)  # built once: each submission asks


def list_switches(connection: Connection) -> dict[str, Switch]:
    """All that were told, by name."""
    rows = connection.execute(select(switches).order_by(switches.c.name)).all()
    return {row.name: Switch(at=row.at, by=row.by, message=row.message) for row in rows}
