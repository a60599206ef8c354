"""Control over schedules: made, changed, set aside and asked for; their jobs come by themselves."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection
from uuid_utils.compat import uuid7

from fleetjobs.access import Verb
from fleetjobs.control.acceptance import Acceptance
from fleetjobs.control.limits import NO_MORE, Limits
from fleetjobs.control.noting import note
from fleetjobs.control.occurrences import next_of
from fleetjobs.control.resolving import resolve
from fleetjobs.control.submissions import Submission
from fleetjobs.control.verbs import Verbs
from fleetjobs.control.works import Asker, Mark, Seal, Start
from fleetjobs.errors import InvalidSchedule, NotFound, Outdated, Refused
from fleetjobs.names import JobId
from fleetjobs.notices import check_sinks
from fleetjobs.schedules.documents import Overlap, Schedule, Work
from fleetjobs.schedules.recurrence import anchor_of, check_jitter, check_recurs
from fleetjobs.schedules.rules import check_moment
from fleetjobs.signing import account_key_id
from fleetjobs.store.bells import SCHEDULES
from fleetjobs.store.database import Database, ring
from fleetjobs.store.events import add_event
from fleetjobs.store.schedules import (
    Entry,
    get_entry,
    insert_entry,
    live_jobs,
    lock_entries,
    save_entry,
)

_NOT_OF_PLANS = frozenset({Overlap.QUEUE_ALL, Overlap.CANCEL_PREVIOUS})


@dataclass(frozen=True, slots=True)
class Schedules:
    """Each one transaction; raises NotFound, DatabaseAway. Safe from any thread."""

    database: Database
    clock: Callable[[], datetime]
    acceptance: Acceptance
    limits: Limits = NO_MORE  # of what is asked for by hand; what comes by itself waits its turn
    address: str = ""  # from where it is asked, for the audit

    def create(self, schedule: Schedule, *, org: str, account: str) -> Entry:
        """Keep a schedule that could ask for its job today.

        Raises InvalidSchedule, Conflict, and what submitting the job would raise.
        """
        now = self.clock()
        anchor = anchor_of(schedule.rule, max(now, schedule.active_from or now))
        with self.database.transaction() as connection:
            shown = self.vet(connection, schedule, org, account, anchor)
            entry = Entry(
                id=str(uuid7()),
                org=org,
                label=schedule.label,
                owner=account,
                document=schedule,
                shown=shown,
                anchor=anchor,
                seen_at=now,
                next_at=None,
                created_at=now,
            )
            entry = dataclasses.replace(entry, next_at=next_of(entry))
            insert_entry(connection, entry)
            ring(connection, SCHEDULES)
            self._log(connection, entry, "schedule.created", account)
            self._audit(connection, "schedule.created", account, None, entry)
        return entry

    def change(
        self, name: str, schedule: Schedule, *, org: str, account: str, version: int | None = None
    ) -> Entry:
        """Have it be so from now on; what it made stays. `version`: the one that was seen.

        Its rule counts anew from now on if it is another. Raises Outdated and as `create`.
        """
        with self._entry(name, org, account) as (connection, entry):
            if version is not None and version != entry.version:
                raise Outdated(f"{name} is at version {entry.version}, not {version}")
            now = self.clock()
            same = schedule.rule == entry.document.rule
            begin = max(now, schedule.active_from or now)
            anchor = entry.anchor if same else anchor_of(schedule.rule, begin)
            shown = self.vet(connection, schedule, org, account, anchor)
            changed = dataclasses.replace(
                entry,
                label=schedule.label,
                owner=account,
                document=schedule,
                shown=shown,
                anchor=anchor,
                seed=None,
            )
            return self._save(connection, changed, "schedule.changed", account, entry)

    def enable(self, name: str, *, org: str, account: str, enabled: bool = True) -> Entry:
        """Go on from now on, or set it aside; what came meanwhile is not made up for."""
        with self._entry(name, org, account) as (connection, entry):
            if entry.document.enabled == enabled:
                return entry
            document = msgspec.structs.replace(entry.document, enabled=enabled)
            changed = dataclasses.replace(
                entry, document=document, shown=entry.shown | {"enabled": enabled}
            )
            kind = "schedule.enabled" if enabled else "schedule.disabled"
            return self._save(connection, changed, kind, account, entry)

    def skip_next(self, name: str, *, org: str, account: str, count: int = 1) -> Entry:
        """Leave out so many of the next occurrences; 0 leaves out none after all."""
        with self._entry(name, org, account) as (connection, entry):
            changed = dataclasses.replace(entry, skips=count)
            kind = "schedule.skipping"
            return self._save(connection, changed, kind, account, entry, seen=False)

    def delete(self, name: str, *, org: str, account: str, cancel_running: bool = False) -> Entry:
        """End it; its jobs and its history stay, its label is free again. Twice is once."""
        with self._entry(name, org, account, ended=True) as (connection, found):
            entry = found
            if found.ended_at is None:
                changed = dataclasses.replace(found, ended_at=self.clock())
                entry = self._save(connection, changed, "schedule.deleted", account, found)
            live = live_jobs(connection, entry.id) if cancel_running else []
        for job in live:
            Verbs(self.database, self.clock, self.address).cancel(job, org=org, account=account)
        return entry

    def run_now(self, name: str, *, org: str, account: str, seal: Seal) -> Submission:
        """Ask for its job once more, at once. Raises as `Control.submit` does."""
        with self._entry(name, org) as (connection, entry):
            warnings: list[str] = []
            asker = dataclasses.replace(
                self._asker(connection, seal, org, account), warnings=warnings
            )
            start = Start(priority=entry.document.priority)
            job = asker.ask(entry.document.work, JobId(str(uuid7())), start, of(entry))
            self._log(connection, entry, "schedule.run_now", account, job=job.id)
            told = {"job": job.id}
            note(
                self,
                connection,
                "schedule.run_now",
                entry.label,
                account=account,
                org=org,
                after=told,
            )
        return Submission(job, created=True, warnings=warnings)

    def reinitialize(self, *, org: str, account: str) -> int:
        """Have all the org's schedules look for their next occurrence from now on; how many."""
        with self.database.transaction() as connection:
            entries = lock_entries(connection, org)
            for entry in entries:
                self._save(connection, entry, "schedule.reinitialized", account)
            told = {"schedules": len(entries)}
            note(
                self,
                connection,
                "schedule.reinitialized",
                "schedules",
                account=account,
                org=org,
                after=told,
            )
        return len(entries)

    def vet(
        self, connection: Connection, schedule: Schedule, org: str, account: str, anchor: datetime
    ) -> dict[str, Any]:
        """It as it may be shown, if it could ask for its job today. Raises as `create` does."""
        check_moment("active_till", schedule.active_till)
        check_recurs(schedule.rule, anchor)
        check_jitter(schedule.rule, anchor, schedule.jitter_s)
        check_sinks(schedule.notify)
        if schedule.active_till is not None and schedule.active_till <= anchor:
            raise InvalidSchedule(f"active_till {schedule.active_till} is past when it begins")
        if schedule.work.call is None and schedule.overlap in _NOT_OF_PLANS:
            raise InvalidSchedule(f"overlap: {schedule.overlap} is not possible for plans yet")
        if schedule.work.call is None and schedule.splay_s:
            raise InvalidSchedule("splay_s is of actions; a leg of a plan may roll out in batches")
        self._check_manages(connection, schedule.work, org, account)
        asker = self._asker(connection, lambda _: "", org, account)
        shown = asker.shown(schedule.work, JobId(str(uuid7())))
        document: dict[str, Any] = msgspec.to_builtins(
            msgspec.structs.replace(schedule, work=shown)
        )
        return document

    def _asker(self, connection: Connection, seal: Seal, org: str, account: str) -> Asker:
        return Asker(
            connection=connection,
            acceptance=self.acceptance,
            seal=seal,
            org=org,
            caller=account,
            now=self.clock(),
            limits=self.limits,
        )

    @contextmanager
    def _entry(
        self, name: str, org: str, account: str | None = None, *, ended: bool = False
    ) -> Iterator[tuple[Connection, Entry]]:
        """The schedule, locked; for an account that is to change it. Raises NotFound, Denied.

        `ended`: also if it was deleted.
        """
        with self.database.transaction() as connection:
            entry = get_entry(connection, name, org=org, lock=True)
            if entry.ended_at is not None and not ended:
                raise NotFound(f"the schedule {entry.label} was deleted")
            if account is not None:
                self._check_manages(connection, entry.document.work, org, account)
            yield connection, entry

    def _check_manages(self, connection: Connection, work: Work, org: str, account: str) -> None:
        """Let an account pass that may keep schedules of all that it does. Raises Denied."""
        rights = self.acceptance.rights
        if rights is None:
            return
        for action in _actions_of(connection, work, org):
            rights.check(connection, Verb.MANAGE, action, caller=account, org=org)

    def _save(
        self,
        connection: Connection,
        entry: Entry,
        kind: str,
        account: str,
        before: Entry | None = None,
        *,
        seen: bool = True,
    ) -> Entry:
        """Write it as it is to be; `seen`: what has come until now is past.

        `before`: as it was, for the audit.
        """
        entry = dataclasses.replace(entry, version=entry.version + 1)
        if seen:
            entry = dataclasses.replace(entry, seen_at=self.clock())
        entry = dataclasses.replace(entry, next_at=next_of(entry))
        save_entry(connection, entry)
        ring(connection, SCHEDULES)
        self._log(connection, entry, kind, account)
        if before is not None:
            self._audit(connection, kind, account, before, entry)
        return entry

    def _audit(
        self, connection: Connection, kind: str, account: str, old: Entry | None, new: Entry
    ) -> None:
        before = None if old is None else _told(old)
        note(
            self,
            connection,
            kind,
            new.label,
            account=account,
            org=new.org,
            before=before,
            after=_told(new),
        )

    def _log(
        self, connection: Connection, entry: Entry, kind: str, account: str, job: str | None = None
    ) -> None:
        add_event(
            connection,
            at=self.clock(),
            kind=kind,
            actor=account_key_id(account),
            org=entry.org,
            job=None if job is None else JobId(job),
            detail={"schedule": entry.id, "label": entry.label, "version": entry.version},
        )


def _actions_of(connection: Connection, work: Work, org: str) -> list[str]:
    """The same, also of a template's, as long as it can be read."""
    if work.template is None:
        return actions_of(work)
    try:
        return actions_of(resolve(connection, work, org=org).work)
    except Refused:
        return []  # who keeps such a schedule is told elsewhere; anybody may end it


def actions_of(work: Work) -> list[str]:
    """What it does, as `agent.action`; nothing is known of a template's before it is read."""
    if work.call is not None:
        return [f"{work.call.agent}.{work.call.action}"]
    return [] if work.plan is None else [f"{leg.agent}.{leg.action}" for leg in work.plan.legs]


def _told(entry: Entry) -> dict[str, Any]:
    """The schedule as the audit tells of it, secrets masked."""
    return entry.shown | {
        "id": entry.id,
        "owner": entry.owner,
        "skips": entry.skips,
        "deleted": entry.ended_at is not None,
    }


def of(entry: Entry) -> Mark:
    """Marks a job as the schedule's, though it is none of its occurrences."""
    return lambda job: dataclasses.replace(job, schedule=entry.id)
