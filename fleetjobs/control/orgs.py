"""Control over orgs, and over what is set for all of them; for fleet admins."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fleetjobs.access import FLEET
from fleetjobs.control.ruling import Ruler, check_org_name
from fleetjobs.errors import Conflict, InvalidDocument, NotFound
from fleetjobs.store.access import (
    Org,
    count_fleet_admins,
    create_org,
    delete_org,
    list_orgs,
    set_org,
)
from fleetjobs.store.database import Database
from fleetjobs.store.settings import read_setting, save_setting

SHARE_FLEET_SCHEDULES = "share_fleet_schedules"


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """Something that is on or off for the whole fleet."""

    default: bool
    description: str


SETTINGS: Mapping[str, Switch] = {
    SHARE_FLEET_SCHEDULES: Switch(
        default=False,
        description="orgs see of the fleet's own schedules the label, what it does, when it comes"
        " next, and whether it is enabled",
    )
}


@dataclass(frozen=True, slots=True)
class Orgs:
    """All orgs, for whoever rules the fleet. Raises Refused, DatabaseAway."""

    database: Database
    clock: Callable[[], datetime]
    ruler: Ruler

    def create(self, name: str) -> Org:
        """A new org, without accounts and nodes. Raises Conflict, InvalidDocument."""
        check_org_name(name)
        with self.database.transaction() as connection:
            create_org(connection, name, now=self.clock())
            self.ruler.note(
                connection, "org.created", name, self.clock(), org=name, after={"name": name}
            )
        return self.get(name)

    def get(self, name: str) -> Org:
        """The org of that name. Raises NotFound."""
        with self.database.reading() as connection:
            found = {org.name: org for org in list_orgs(connection)}
        if name not in found or name == FLEET:
            raise NotFound(f"there is no org {name[:128]!r}")
        return found[name]

    def disable(self, name: str, *, disabled: bool = True) -> Org:
        """Let its accounts do nothing, and nothing they asked for begin; or let them go on.

        Raises NotFound; Conflict if no fleet admin were left.
        """
        found = self.get(name)
        if (found.disabled_at is not None) == disabled:
            return found
        with self.database.transaction() as connection:
            set_org(connection, name, disabled_at=self.clock() if disabled else None)
            if not count_fleet_admins(connection):
                raise Conflict(f"the last fleet admin is of {name}; make another one first")
            self.ruler.note(
                connection,
                "org.disabled" if disabled else "org.enabled",
                name,
                self.clock(),
                org=name,
            )
        return self.get(name)

    def delete(self, name: str) -> None:
        """Forget an org of which nothing is left. Raises NotFound, Conflict."""
        self.get(name)
        with self.database.transaction() as connection:
            delete_org(connection, name)
            self.ruler.note(connection, "org.deleted", name, self.clock(), org=name)

    def settings(self) -> dict[str, bool]:
        """What is set for all, or stands by itself."""
        with self.database.reading() as connection:
            return {name: is_on(read_setting(connection, name), name) for name in SETTINGS}

    def set(self, name: str, value: Any) -> bool:
        """Switch it. Raises NotFound, InvalidDocument."""
        if name not in SETTINGS:
            raise NotFound(f"there is no setting {name[:60]!r}; there are: {', '.join(SETTINGS)}")
        if not isinstance(value, bool):
            raise InvalidDocument(f"{name} is true or false")
        now = self.clock()
        with self.database.transaction() as connection:
            before = is_on(read_setting(connection, name), name)
            save_setting(connection, name, value, account=self.ruler.name, now=now)
            self.ruler.note(
                connection,
                "setting.changed",
                name,
                now,
                org=FLEET,
                before={"value": before},
                after={"value": value},
            )
        return value


def is_on(value: Any, name: str) -> bool:
    """What was set, or what stands by itself."""
    return SETTINGS[name].default if value is None else bool(value)
