"""Windows in the database, each of an org or of the whole fleet."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from fleetjobs.errors import Conflict, NotFound
from fleetjobs.schedules.windows import Window
from fleetjobs.store.schema.gates import windows

FLEET = ""  #: in the place of an org: of all of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """A window, with who made it so and when."""

    org: str | None  # None: of all orgs
    window: Window
    version: int
    by: str
    at: datetime


def list_windows(
    connection: Connection, org: str | None = None, *, lock: bool = False
) -> list[Calendar]:
    """Those that hold for the org, the fleet's first; `org` None: everybody's.

    With `lock` none of them is changed before the transaction ends.
    """
    query = _ALL if org is None else _OF_ORG
    found = connection.execute(query.with_for_update(read=True) if lock else query, {"org": org})
    return [_calendar(row) for row in found]


# Built once: each submission asks.
_ALL = select(windows).order_by(windows.c.org, windows.c.name)
_OF_ORG = _ALL.where(windows.c.org.in_([FLEET, bindparam("org")]))


def get_window(connection: Connection, name: str, *, org: str, lock: bool = False) -> Calendar:
    """The org's window of that name, or else the fleet's. Raises NotFound."""
    query = select(windows).where(windows.c.org.in_([FLEET, org]), windows.c.name == name)
    query = query.order_by(windows.c.org.desc())
    row = connection.execute(query.with_for_update() if lock else query).first()
    if row is None:
        raise NotFound(f"there is no window {name[:128]!r}")
    return _calendar(row)


def insert_window(connection: Connection, calendar: Calendar) -> None:
    """Keep a new one. Raises Conflict if there is one of its name."""
    place = calendar.org or FLEET
    known = select(windows.c.name).where(
        windows.c.org == place, windows.c.name == calendar.window.name
    )
    if connection.execute(known).first() is not None:
        raise Conflict(f"there is a window {calendar.window.name!r} already; edit it")
    connection.execute(insert(windows).values(org=place, **_row(calendar)))


def save_window(connection: Connection, calendar: Calendar) -> None:
    """Keep it as it is now."""
    connection.execute(
        update(windows)
        .where(windows.c.org == (calendar.org or FLEET), windows.c.name == calendar.window.name)
        .values(_row(calendar))
    )


def delete_window(connection: Connection, calendar: Calendar) -> None:
    """Forget it."""
    place = windows.c.org == (calendar.org or FLEET)
    connection.execute(delete(windows).where(place, windows.c.name == calendar.window.name))


def _row(calendar: Calendar) -> dict[str, Any]:
    return {
        "name": calendar.window.name,
        "document": msgspec.to_builtins(calendar.window),
        "version": calendar.version,
        "by": calendar.by,
        "at": calendar.at,
    }


def _calendar(row: Row[Any]) -> Calendar:
    return Calendar(
        org=row.org or None,
        window=msgspec.convert(row.document, Window),
        version=row.version,
        by=row.by,
        at=row.at,
    )
