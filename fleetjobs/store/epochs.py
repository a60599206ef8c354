"""Epochs: counters by which whoever remembers something sees whether it still holds."""

from sqlalchemy import Connection, bindparam, select, update

from fleetjobs.store.schema.accounts import epochs

RIGHTS = "rights"  #: of what accounts may do


def advance(connection: Connection, name: str) -> None:
    """Say that what was remembered no longer holds; who does so at the same time waits."""
    change = update(epochs).where(epochs.c.name == name).values(number=epochs.c.number + 1)
    connection.execute(change)


def read_epoch(connection: Connection, name: str) -> int:
    """How often it was advanced."""
    return int(connection.execute(_READING, {"name": name}).scalar_one())


_READING = select(epochs.c.number).where(epochs.c.name == bindparam("name"))
