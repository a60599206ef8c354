"""Warden: keeps from beginning what its caller may no longer run."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from fleetjobs.control.rights import Register
from fleetjobs.store.database import Database, ring_changes
from fleetjobs.store.denials import deny, starts_ahead
from fleetjobs.store.entries import RunName
from fleetjobs.store.handovers import Handover

logger = logging.getLogger(__name__)

BATCH = 500  #: runs that are looked at together


@dataclass(slots=True)
class Warden:
    """Looks at what is handed over, and, when any right has changed, at what nodes have already.

    Rights of all accounts share one epoch: while it stands still, a run costs a look into a
    dictionary.
    """

    database: Database
    clock: Callable[[], datetime]
    register: Register = field(default_factory=Register)
    _swept: int | None = None  # the epoch as of which all that is ahead was looked at

    def refusals(
        self, connection: Connection, due: Sequence[Handover], *, epoch: int
    ) -> Mapping[RunName, str]:
        """Those that must not be handed over, and why. What a node has told of is only asked."""
        starts = [item for item in due if not item.known]
        return self.register.refusals(connection, starts, epoch=epoch)

    def deny(self, refused: Mapping[RunName, str]) -> None:
        """Set these aside for a person. Raises DatabaseAway."""
        if not refused:
            return
        with self.database.transaction() as connection:
            moved = deny(connection, refused, self.clock())
            ring_changes(connection, moved)
        for (job, node), why in refused.items():
            logger.warning("%s on %s waits for a person: %s", job, node, why)

    def sweep(self, epoch: int) -> None:
        """Look at all that nodes may begin by themselves, if any right has changed since.

        Whoever took over as leader looks first of all. Raises DatabaseAway.
        """
        if epoch == self._swept:
            return
        last: RunName | None = None
        while True:
            with self.database.reading() as connection:
                ahead = starts_ahead(connection, self.clock(), after=last, limit=BATCH)
                refused = self.register.refusals(connection, ahead, epoch=epoch)
            self.deny(refused)
            if len(ahead) < BATCH:
                break
            last = (ahead[-1].job, ahead[-1].node)
        self._swept = epoch
