"""Relay: what the coordinators of a fleet are told, and what waits to be handed over."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from fleetjobs.access import FLEET
from fleetjobs.control.noting import note
from fleetjobs.names import JobId
from fleetjobs.signing import account_key_id
from fleetjobs.store.bells import CHANGES, DISPATCH
from fleetjobs.store.cancels import call_off
from fleetjobs.store.database import Database, ring
from fleetjobs.store.events import add_event
from fleetjobs.store.judging import settle
from fleetjobs.store.leases import (
    LEADER,
    RELAY,
    STOP,
    Switch,
    read_lease,
    read_switch,
    switch_off,
    switch_on,
)
from fleetjobs.store.ledger import Ledger
from fleetjobs.store.outbox import Queued, list_outbox
from fleetjobs.store.pages import Page

BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Who leads, and what was said."""

    leader: str | None  # host:pid; None: no coordinator is at work
    since: datetime | None
    until: datetime | None  # of its lease, unless renewed
    paused: Switch | None  # nothing is handed over
    stopped: Switch | None  # the last time they were told to end


@dataclass(frozen=True, slots=True)
class Relay:
    """The coordinators' desk; for those who may rule the whole fleet."""

    database: Database
    clock: Callable[[], datetime]
    address: str = ""  # from where it is asked, for the audit

    def pause(self, account: str, message: str = "") -> None:
        """Hand nothing over any more; orders and questions still go out. Twice is once."""
        with self.database.transaction() as connection:
            if read_switch(connection, RELAY) is None:
                said = Switch(at=self.clock(), by=account, message=message)
                switch_on(connection, RELAY, said)
                self._note(connection, "relay.paused", account, message)

    def resume(self, account: str) -> None:
        """Hand over again."""
        with self.database.transaction() as connection:
            if switch_off(connection, RELAY):
                self._note(connection, "relay.resumed", account, "")
            ring(connection, DISPATCH)

    def stop(self, account: str, message: str) -> None:
        """Tell all coordinators that are at work now to end; runs on nodes go on."""
        with self.database.transaction() as connection:
            switch_on(connection, STOP, Switch(at=self.clock(), by=account, message=message))
            self._note(connection, "coordinator.stop_asked", account, message)

    def standing(self) -> Standing:
        """Who leads, and what was said."""
        now = self.clock()
        with self.database.reading() as connection:
            lease = read_lease(connection, LEADER)
            paused, stopped = read_switch(connection, RELAY), read_switch(connection, STOP)
        leads = lease is not None and lease.until > now
        return Standing(
            leader=lease.holder if lease and leads else None,
            since=lease.since if lease and leads else None,
            until=lease.until if lease else None,
            paused=paused,
            stopped=stopped,
        )

    def outbox(self, *, org: str | None, cursor: str | None = None, limit: int) -> Page[Queued]:
        """The runs that are due and not handed over, the longest due first.

        Raises InvalidDocument.
        """
        with self.database.reading() as connection:
            return list_outbox(connection, self.clock(), org=org, cursor=cursor, limit=limit)

    def clear(self, *, org: str | None, account: str) -> int:
        """Cancel what is due and not handed over; how many runs. `org` None: everybody's."""
        done = 0
        while True:
            now = self.clock()
            with self.database.transaction() as connection:
                due = list_outbox(connection, now, org=org, cursor=None, limit=BATCH).items
                ledger = Ledger(connection, [(item.job, item.node) for item in due], now)
                names, before = [(item.job, item.node) for item in due], done
                for run in filter(None, (ledger.run(*name) for name in names)):
                    actor = account_key_id(account)
                    done += call_off(ledger, run, actor=actor, is_alive=True, force=False)
                moved: set[JobId] = settle(ledger)
                if moved:
                    ring(connection, CHANGES, ",".join(sorted(moved)))
                    told = {"cancelled": done - before}
                    self._audit(connection, "outbox.cleared", account, org, told)
            if not due:
                return done

    def _note(self, connection: Connection, kind: str, account: str, message: str) -> None:
        add_event(
            connection,
            at=self.clock(),
            kind=kind,
            actor=account_key_id(account),
            detail={"message": message},
        )
        self._audit(connection, kind, account, None, {"message": message})

    def _audit(
        self,
        connection: Connection,
        kind: str,
        account: str,
        org: str | None,
        after: dict[str, Any],
    ) -> None:
        note(self, connection, kind, "coordinators", account=account, org=org or FLEET, after=after)
