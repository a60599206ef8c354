"""Lead: one coordinator at a time hands over and reaps; the others stand by."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Event

from sqlalchemy import Connection

from fleetjobs.store.database import Database
from fleetjobs.store.events import add_event
from fleetjobs.store.leases import LEADER, STOP, drop_lease, read_lease, read_switch, take_lease

COORDINATOR = "coordinator"
TTL = timedelta(seconds=7)  #: a leader that is gone is followed after that

TOLERATED = timedelta(seconds=2)  #: a clock that is set back by more is told of
logger = logging.getLogger(__name__)


def _unknown(holder: str) -> bool:  # noqa: ARG001  nobody is known
    return False


@dataclass(slots=True)
class Lead:
    """A pass over who leads. Two that believe they do, do no harm: nodes take each thing once."""

    database: Database
    clock: Callable[[], datetime]
    holder: str  # host:pid
    ttl: timedelta = TTL
    is_gone: Callable[[str], bool] = _unknown  # whether a holder is known to have ended
    stopped: Event = field(default_factory=Event)  # set when a person told us to end
    _began_at: datetime | None = None
    _seen_at: datetime | None = None
    _until: datetime | None = None

    def step(self) -> bool:
        """Take or keep the lead, if nobody else has it; whether we do. Raises DatabaseAway."""
        now = self.clock()
        self._began_at = self._began_at or now
        back = (self._seen_at or now) - now
        self._seen_at = now
        with self.database.transaction() as connection:
            if back > TOLERATED:
                logger.warning("the clock was set back by %s; nothing is done twice", back)
                detail = {"holder": self.holder, "seconds": back.total_seconds()}
                kind = "clock.set_back"
                add_event(connection, at=now, kind=kind, actor=COORDINATOR, detail=detail)
            led = self._until is not None
            leads = self._take(connection, now)
            if leads and not led:
                detail = {"holder": self.holder}
                add_event(
                    connection, at=now, kind="coordinator.leads", actor=COORDINATOR, detail=detail
                )
            said = read_switch(connection, STOP)
        self._until = now + self.ttl if leads else None
        if said is not None and said.at > self._began_at:
            self.stopped.set()
        return leads

    def _take(self, connection: Connection, now: datetime) -> bool:
        """Take or renew the lease; at once from one who was killed beside us."""
        if take_lease(connection, LEADER, self.holder, now, self.ttl):
            return True
        lease = read_lease(connection, LEADER)
        if lease is None or not self.is_gone(lease.holder):
            return False
        drop_lease(connection, LEADER, lease.holder)
        return take_lease(connection, LEADER, self.holder, now, self.ttl)

    @property
    def is_ours(self) -> bool:
        """Whether we lead, as far as we know without asking."""
        return self._until is not None and self.clock() < self._until

    def end(self) -> None:
        """Let another one lead at once, and say so. Raises DatabaseAway."""
        now = self.clock()
        with self.database.transaction() as connection:
            said = read_switch(connection, STOP) if self.stopped.is_set() else None
            detail = {"holder": self.holder, "message": said.message if said else ""}
            drop_lease(connection, LEADER, self.holder)
            add_event(
                connection, at=now, kind="coordinator.stopped", actor=COORDINATOR, detail=detail
            )
        self._until = None
