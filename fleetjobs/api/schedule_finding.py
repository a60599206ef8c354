"""Schedules by name: those one sees, those one may change, and those that the fleet shares."""

from typing import Annotated

from fastapi import Path

from fleetjobs.access import FLEET
from fleetjobs.api.access import Acting
from fleetjobs.api.desk import Desk
from fleetjobs.control.orgs import SHARE_FLEET_SCHEDULES, is_on
from fleetjobs.control.ruling import place, way
from fleetjobs.errors import Denied, NotFound
from fleetjobs.store.schedules import Entry, get_entry, list_entries
from fleetjobs.store.settings import read_setting

Named = Annotated[str, Path(max_length=128, description="a schedule's label, or its id")]
MOST = 500  #: of the fleet's own that are shown


def seen_schedule(desk: Desk, caller: Acting, name: str) -> Entry:
    """One's own by label or id; a fleet admin finds those of others by id. Raises NotFound."""
    with desk.database.reading() as connection:
        try:
            return get_entry(connection, name, org=caller.org)
        except NotFound:
            if caller.sees is not None:
                raise
            return get_entry(connection, name, org=None)


def own_schedule(desk: Desk, caller: Acting, name: str) -> Entry:
    """One of the org in which the caller acts.

    Raises NotFound; Denied if it is another one's that the caller sees.
    """
    try:
        found = seen_schedule(desk, caller, name)
    except NotFound:
        if any(name == entry.label for entry in shared_schedules(desk)):
            raise Denied(f"{name} is the fleet's; it may be looked at") from None
        raise
    if found.org != caller.org:
        raise Denied(f"{found.label} is of {place(found.org)}; to act there say {way(found.org)}")
    return found


def shared_schedules(desk: Desk) -> list[Entry]:
    """The fleet's own, if a fleet admin lets orgs see them."""
    with desk.database.reading() as connection:
        if not is_on(read_setting(connection, SHARE_FLEET_SCHEDULES), SHARE_FLEET_SCHEDULES):
            return []
        return list_entries(connection, org=FLEET, limit=MOST).items
