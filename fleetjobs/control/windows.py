"""Control over windows: made, changed and deleted; who was to begin outside them gives way."""

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from fleetjobs.access import FLEET
from fleetjobs.control.noting import note
from fleetjobs.control.recalls import ask_back
from fleetjobs.errors import Conflict, Outdated
from fleetjobs.jobs import Job, Kind
from fleetjobs.names import NodeId
from fleetjobs.schedules.windows import Window, check_window
from fleetjobs.signing import account_key_id
from fleetjobs.states import State, WaitReason
from fleetjobs.store.bells import DISPATCH
from fleetjobs.store.database import Database, ring
from fleetjobs.store.events import add_event
from fleetjobs.store.gates import Gates, let_on
from fleetjobs.store.jobs import JobFilter, list_jobs
from fleetjobs.store.runs import nodes_of
from fleetjobs.store.windows import (
    Calendar,
    delete_window,
    get_window,
    insert_window,
    list_windows,
    save_window,
)

SCHEDULED_MOST = 500  #: jobs with a time that a change is weighed against


@dataclass(frozen=True, slots=True, kw_only=True)
class Displaced:
    """A job whose time is inside no opening any more."""

    job: Job
    because: str | None
    next_at: datetime | None  # the next moment at which all its nodes may begin
    previous_at: datetime | None  # the last one before its time that is still to come


@dataclass(frozen=True, slots=True)
class Windows:
    """The windows' desk; each one transaction."""

    database: Database
    clock: Callable[[], datetime]
    address: str = ""  # from where it is asked, for the audit

    def all(self, *, org: str) -> list[Calendar]:
        """Those that hold for the org."""
        with self.database.reading() as connection:
            return list_windows(connection, org)

    def get(self, name: str, *, org: str) -> Calendar:
        """The window of that name. Raises NotFound."""
        with self.database.reading() as connection:
            return get_window(connection, name, org=org)

    def displaced(self, window: Window, *, org: str) -> list[Displaced]:
        """The org's jobs with a time that would no longer be inside, were the window so."""
        check_window(window)
        with self.database.reading() as connection:
            return _displaced(connection, window, org, self.clock())

    def create(self, window: Window, *, org: str, account: str) -> Calendar:
        """Keep a window; it holds from now on. Raises InvalidSchedule, InvalidTarget, Conflict."""
        check_window(window)
        calendar = Calendar(
            org=None if window.fleet else org,
            window=window,
            version=1,
            by=account,
            at=self.clock(),
        )
        with self.database.transaction() as connection:
            insert_window(connection, calendar)
            self._tell(connection, "window.created", account, None, calendar)
        ask_back(self.database, self.clock(), account=account)
        return calendar

    def change(
        self, window: Window, *, org: str, account: str, version: int | None = None
    ) -> Calendar:
        """Have it be so from now on. Raises NotFound, Outdated, and as `create`."""
        check_window(window)
        with self.database.transaction() as connection:
            found = get_window(connection, window.name, org=org, lock=True)
            if version is not None and version != found.version:
                raise Outdated(f"{window.name} is at version {found.version}, not {version}")
            if window.fleet != (found.org is None):
                raise Conflict(f"{window.name}: make it anew to change whose it is")
            calendar = dataclasses.replace(
                found, window=window, version=found.version + 1, by=account, at=self.clock()
            )
            save_window(connection, calendar)
            self._tell(connection, "window.changed", account, found, calendar)
        ask_back(self.database, self.clock(), account=account)
        return calendar

    def delete(self, name: str, *, org: str, account: str) -> Calendar:
        """Forget it; who waited for it is looked at again. Raises NotFound."""
        with self.database.transaction() as connection:
            calendar = get_window(connection, name, org=org, lock=True)
            delete_window(connection, calendar)
            self._tell(connection, "window.deleted", account, calendar, None)
        ask_back(self.database, self.clock(), account=account)
        return calendar

    def _tell(
        self,
        connection: Connection,
        kind: str,
        account: str,
        before: Calendar | None,
        after: Calendar | None,
    ) -> None:
        let_on(connection, WaitReason.WINDOW, self.clock())
        ring(connection, DISPATCH)
        calendar = after or before
        if calendar is None:
            return
        name, org = calendar.window.name, calendar.org or FLEET
        detail = {"window": name, "version": calendar.version}
        actor, now = account_key_id(account), self.clock()
        add_event(connection, at=now, kind=kind, actor=actor, org=org, detail=detail)
        note(
            self,
            connection,
            kind,
            name,
            account=account,
            org=org,
            before=before and before.window,
            after=after and after.window,
        )


def _displaced(connection: Connection, window: Window, org: str, now: datetime) -> list[Displaced]:
    wanted = JobFilter(org=org, states=[State.SCHEDULED], kinds=[Kind.ACTION], top=True)
    jobs = [
        job
        for job in list_jobs(connection, wanted, limit=SCHEDULED_MOST).items
        if job.not_before is not None and job.not_before > now
    ]
    nodes = {job.id: nodes_of(connection, job.id) for job in jobs}
    old = Gates.read(connection, {node for each in nodes.values() for node in each})
    place = None if window.fleet else org
    others = [
        each for each in old.calendars if (each.org, each.window.name) != (place, window.name)
    ]
    made = Calendar(org=place, window=window, version=0, by="", at=now)
    known = {node for each in nodes.values() for node in each}
    new = Gates.of(connection, old.paused, [*others, made], known)
    return [
        found for job in jobs if (found := _weigh(job, nodes[job.id], old, new, now)) is not None
    ]


def _weigh(
    job: Job, nodes: Iterable[NodeId], old: Gates, new: Gates, now: datetime
) -> Displaced | None:
    nodes = list(nodes)
    begin = job.not_before or now
    before = [_opens(old, job, node, begin) for node in nodes]
    after = [_opens(new, job, node, begin) for node in nodes]
    closed = [verdict for verdict in after if verdict[0] != begin]
    if not closed or any(moment != begin for moment, _ in before):
        return None
    next_at = max((moment for moment, _ in after if moment is not None), default=None)
    if next_at is None or any(moment is None for moment, _ in after):
        next_at = None
    return Displaced(
        job=job,
        because=closed[0][1],
        next_at=next_at,
        previous_at=_previous(new, job, nodes, begin, now),
    )


def _opens(
    gates: Gates, job: Job, node: NodeId, moment: datetime
) -> tuple[datetime | None, str | None]:
    verdict, _ = gates.judge(job.org, node, moment, window_only=job.window_only)
    return (moment if verdict.is_open else verdict.opens_at), verdict.because


def _previous(
    gates: Gates, job: Job, nodes: list[NodeId], begin: datetime, now: datetime
) -> datetime | None:
    """The beginning of the last opening before its time, looked for in steps of a day."""
    place = begin
    found: datetime | None = None
    while found is None and place > now:
        start = max(now, place - timedelta(days=1))
        moment: datetime | None = start
        while moment is not None and moment < place:
            opens = [_opens(gates, job, node, moment)[0] for node in nodes]
            if any(each is None for each in opens):
                moment = None
                continue
            latest = max(each for each in opens if each is not None)
            if latest == moment:
                found = moment
                closing = [
                    gates.judge(job.org, node, moment, window_only=job.window_only)[1]
                    for node in nodes
                ]
                moment = max((each for each in closing if each is not None), default=None)
            else:
                moment = latest
        place = start
    return found
