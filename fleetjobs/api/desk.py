"""Desk: what the endpoints work with, handed to the app when it is made."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy import Connection

from fleetjobs.api.logins import Logins
from fleetjobs.api.tokens import Tokens
from fleetjobs.api.watch import Watch
from fleetjobs.control.jobs import Control
from fleetjobs.errors import NotFound
from fleetjobs.jobs import Job
from fleetjobs.names import JobId
from fleetjobs.signing import SigningKey
from fleetjobs.store.database import Database
from fleetjobs.store.jobs import get_job


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """The parts of a server."""

    database: Database
    control: Control
    clock: Callable[[], datetime]
    key: SigningKey  # id `server`: seals what callers without a key ask for
    watch: Watch
    tokens: Tokens
    logins: Logins

    def job(self, job: JobId, *, org: str | None) -> Job:
        """The org's job of that id. Raises NotFound, for another org's too. `org` None: any."""
        with self.database.reading() as connection:
            return find_job(connection, job, org=org)


def find_job(connection: Connection, job: JobId, *, org: str | None) -> Job:
    """The org's job of that id. Raises NotFound, for another org's too. `org` None: any."""
    found = get_job(connection, job, org=org)
    if found is None:
        raise NotFound(f"there is no job {job}")
    return found


# What endpoints depend on is async all over: else each of it costs a hop into a thread and back.
async def _desk(request: Request) -> Desk:
    """As one request finds it: what is changed through it tells the audit from where."""
    desk: Desk = request.app.state.desk
    address = request.client.host if request.client else ""
    return replace(desk, control=replace(desk.control, address=address))


AtDesk = Annotated[Desk, Depends(_desk)]
