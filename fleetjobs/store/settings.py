"""Settings: what a fleet admin sets for everybody, at run time."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from fleetjobs.store import dialect
from fleetjobs.store.schema.fleet import settings


def read_setting(connection: Connection, name: str) -> Any:
    """What it is set to; None if nobody set it."""
    query = select(settings.c.value).where(settings.c.name == name)
    return connection.execute(query).scalar_one_or_none()


def save_setting(
    connection: Connection, name: str, value: Any, *, account: str, now: datetime
) -> None:
    """Set it."""
    said = {"value": value, "at": now, "by": account}
    statement = dialect.insert(connection, settings).values(name=name, **said)
    connection.execute(statement.on_conflict_do_update(index_elements=[settings.c.name], set_=said))
