"""Recalls: nodes are asked back for what they have and have not begun, once it may not begin."""

from datetime import datetime

from fleetjobs.signing import account_key_id
from fleetjobs.store.bells import DISPATCH
from fleetjobs.store.database import Database, ring, ring_changes
from fleetjobs.store.gates import queued_runs, take_back

BATCH = 500  #: runs in a transaction: others want to write, too


def ask_back(
    database: Database,
    now: datetime,
    *,
    account: str,
    org: str | None = None,
    node: str | None = None,
) -> None:
    """Look at all that was handed over there anew: some may not begin by now, or not so.

    Not one transaction: what is left when it breaks off begins as it was handed over.
    """
    with database.reading() as connection:
        names = queued_runs(connection, org, node)
    for first in range(0, len(names), BATCH):
        with database.transaction() as connection:
            some = names[first : first + BATCH]
            moved = take_back(connection, some, now, actor=account_key_id(account))
            ring(connection, DISPATCH)
            ring_changes(connection, moved)
