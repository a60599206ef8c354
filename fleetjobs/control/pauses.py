"""Pauses: the fleet, an org or a node begins nothing; and how much of it is still at work."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from fleetjobs.control.noting import note
from fleetjobs.control.recalls import ask_back
from fleetjobs.control.relay import Relay
from fleetjobs.errors import InvalidDocument, NotFound
from fleetjobs.names import NodeId
from fleetjobs.signing import account_key_id
from fleetjobs.states import WaitReason
from fleetjobs.store.access import has_org
from fleetjobs.store.bells import DISPATCH
from fleetjobs.store.counts import Unended, count_unended
from fleetjobs.store.database import Database, ring
from fleetjobs.store.events import add_event
from fleetjobs.store.gates import let_on
from fleetjobs.store.leases import (
    ORG,
    PAUSED_NODE,
    RELAY,
    Switch,
    list_switches,
    read_switch,
    switch_off,
    switch_on,
)
from fleetjobs.store.nodes import orgs_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What is paused: the whole fleet, an org, or a node."""

    org: str | None = None
    node: str | None = None

    @property
    def switch(self) -> str:
        """The name of its switch."""
        if self.org is not None:
            return f"{ORG}{self.org}"
        return RELAY if self.node is None else f"{PAUSED_NODE}{self.node}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A place, what was said when it was paused, and what has not ended there."""

    place: Place
    said: Switch | None  # None: it is not paused
    unended: Unended


@dataclass(frozen=True, slots=True)
class Pauses:
    """The pauses' desk. Jobs are accepted all the while, and what has begun goes on."""

    database: Database
    clock: Callable[[], datetime]
    address: str = ""  # from where it is asked, for the audit

    def pause(self, place: Place, *, org: str, account: str, message: str = "") -> Pause:
        """Begin nothing there; what nodes have and have not begun is asked back. Twice is once.

        Raises NotFound, InvalidDocument.
        """
        if place.switch == RELAY:
            Relay(self.database, self.clock, self.address).pause(account, message)
        else:
            self._switch_on(place, org, account, message)
        ask_back(self.database, self.clock(), account=account, org=place.org, node=place.node)
        return self.show(place, org=org)

    def _switch_on(self, place: Place, org: str, account: str, message: str) -> None:
        with self.database.transaction() as connection:
            _check(connection, place, org)
            if read_switch(connection, place.switch) is None:
                said = Switch(at=self.clock(), by=account, message=message)
                switch_on(connection, place.switch, said)
                self._note(connection, "pause.begun", place, org, account, message)

    def resume(self, place: Place, *, org: str, account: str) -> Pause:
        """Begin again what has waited. Raises NotFound, InvalidDocument."""
        if place.switch == RELAY:
            Relay(self.database, self.clock, self.address).resume(account)
            return self.show(place, org=org)
        with self.database.transaction() as connection:
            _check(connection, place, org)
            ended = switch_off(connection, place.switch)
            let_on(connection, WaitReason.PAUSE, self.clock())
            ring(connection, DISPATCH)
            if ended:
                self._note(connection, "pause.ended", place, org, account, "")
        return self.show(place, org=org)

    def show(self, place: Place, *, org: str) -> Pause:
        """Whether it is paused, and what has not ended there. Raises NotFound, InvalidDocument."""
        with self.database.reading() as connection:
            _check(connection, place, org)
            said = read_switch(connection, place.switch)
            whose = org if place.switch == RELAY else place.org
            unended = count_unended(connection, org=whose, node=place.node)
        return Pause(place=place, said=said, unended=unended)

    def list(self, *, org: str) -> list[Pause]:
        """What is paused that concerns the org."""
        with self.database.reading() as connection:
            said = list_switches(connection)
            nodes = [NodeId(name.removeprefix(PAUSED_NODE)) for name in said]
            ours = orgs_of(connection, nodes)
        places = [Place()] if RELAY in said else []
        places += [Place(org=org)] if f"{ORG}{org}" in said else []
        places += [Place(node=node) for node in nodes if ours.get(node) == org]
        return [self.show(place, org=org) for place in places]

    def _note(
        self, connection: Connection, kind: str, place: Place, org: str, account: str, message: str
    ) -> None:
        add_event(
            connection,
            at=self.clock(),
            kind=kind,
            actor=account_key_id(account),
            org=org,
            node=None if place.node is None else NodeId(place.node),
            detail={"message": message},
        )
        note(
            self,
            connection,
            kind,
            place.node or org,
            account=account,
            org=org,
            after={"org": place.org, "node": place.node, "message": message},
        )


def _check(connection: Connection, place: Place, org: str) -> None:
    """Let pass what is there and the org's own. Raises NotFound, InvalidDocument."""
    if place.org is not None and place.node is not None:
        raise InvalidDocument("an org and a node exclude each other")
    if place.org is not None and (place.org != org or not has_org(connection, place.org)):
        raise NotFound(f"there is no org {place.org[:80]!r}")
    if place.node is not None:
        node = NodeId(place.node)
        if orgs_of(connection, [node]).get(node) != org:
            raise NotFound(f"there is no node {place.node[:80]!r}")
