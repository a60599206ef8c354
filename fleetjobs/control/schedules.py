"""Control over schedules: made, changed, set aside and asked for; their jobs come by themselves."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

import msgspec
from sqlalchemy import Connection
from uuid_utils.compat import uuid7

from fleetjobs.control.acceptance import Acceptance
from fleetjobs.control.keeping import keep_job
from fleetjobs.control.occurrences import Seal, call_of, next_of
from fleetjobs.errors import InvalidSchedule, NotFound, Outdated
from fleetjobs.jobs import Job, JobId
from fleetjobs.messages import Request
from fleetjobs.schedules.documents import Schedule
from fleetjobs.schedules.recurrence import check_recurs, occurrences
from fleetjobs.signing import account_key_id
from fleetjobs.store.bells import DISPATCH, SCHEDULES
from fleetjobs.store.cancels import call_off
from fleetjobs.store.database import Database, ring
from fleetjobs.store.events import add_event
from fleetjobs.store.judging import settle
from fleetjobs.store.ledger import Ledger
from fleetjobs.store.schedules import (
    Entry,
    get_entry,
    insert_entry,
    list_entries,
    live_jobs,
    save_entry,
)

PREVIEW_MOST = 1000  #: moments that are counted out at once


@dataclass(frozen=True, slots=True)
class Schedules:
    """Each one transaction; raises NotFound, DatabaseAway. Safe from any thread."""

    database: Database
    clock: Callable[[], datetime]
    acceptance: Acceptance

    def create(self, schedule: Schedule, *, org: str, account: str) -> Entry:
        """Keep a schedule that could ask for its job today.

        Raises InvalidSchedule, Conflict, and what submitting the job would raise.
        """
        now = self.clock()
        anchor = max(now, schedule.active_from or now)
        with self.database.transaction() as connection:
            shown = self._check(connection, schedule, org, account, anchor)
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
        return entry

    def change(
        self, name: str, schedule: Schedule, *, org: str, account: str, version: int | None = None
    ) -> Entry:
        """Have it be so from now on; what it made stays. `version`: the one that was seen.

        Its rule counts anew from now on if it is another. Raises Outdated and as `create`.
        """
        with self._entry(name, org) as (connection, entry):
            if version is not None and version != entry.version:
                raise Outdated(f"{name} is at version {entry.version}, not {version}")
            now = self.clock()
            same = schedule.rule == entry.document.rule
            anchor = entry.anchor if same else max(now, schedule.active_from or now)
            shown = self._check(connection, schedule, org, account, anchor)
            changed = dataclasses.replace(
                entry,
                label=schedule.label,
                owner=account,
                document=schedule,
                shown=shown,
                anchor=anchor,
            )
            return self._save(connection, changed, "schedule.changed", account)

    def enable(self, name: str, *, org: str, account: str, enabled: bool = True) -> Entry:
        """Go on from now on, or set it aside; what came meanwhile is not made up for."""
        with self._entry(name, org) as (connection, entry):
            if entry.document.enabled == enabled:
                return entry
            document = msgspec.structs.replace(entry.document, enabled=enabled)
            changed = dataclasses.replace(
                entry, document=document, shown=entry.shown | {"enabled": enabled}
            )
            kind = "schedule.enabled" if enabled else "schedule.disabled"
            return self._save(connection, changed, kind, account)

    def skip_next(self, name: str, *, org: str, account: str, count: int = 1) -> Entry:
        """Leave out so many of the next occurrences; 0 leaves out none after all."""
        with self._entry(name, org) as (connection, entry):
            changed = dataclasses.replace(entry, skips=count)
            return self._save(connection, changed, "schedule.skipping", account, seen=False)

    def delete(self, name: str, *, org: str, account: str, cancel_running: bool = False) -> Entry:
        """End it; its jobs and its history stay, its label is free again. Twice is once."""
        with self._entry(name, org) as (connection, entry):
            if entry.ended_at is not None:
                return entry
            if cancel_running:
                self._cancel(connection, entry, account)
            changed = dataclasses.replace(entry, ended_at=self.clock())
            return self._save(connection, changed, "schedule.deleted", account)

    def run_now(self, name: str, *, org: str, account: str, seal: Seal) -> Job:
        """Ask for its job once more, at once. Raises as `Control.submit` does."""
        now = self.clock()
        with self._entry(name, org) as (connection, entry):
            call = call_of(entry.document)
            request = Request(
                id=str(uuid7()),
                org=org,
                caller=account,
                agent=call.agent,
                action=call.action,
                data=call.data,
                target=call.target,
                created_at=now,
                retries=call.retries,
            )
            weighed = self.acceptance.weigh(connection, seal(request), request, org=org, now=now)
            job = dataclasses.replace(weighed.job, schedule=entry.id)
            kept = keep_job(connection, request, dataclasses.replace(weighed, job=job), now)
            self._log(connection, entry, "schedule.run_now", account, job=request.id)
        if kept is None:
            raise NotFound(f"the job {request.id} was not kept")
        return kept

    def reinitialize(self, *, org: str, account: str) -> int:
        """Have all the org's schedules look for their next occurrence from now on; how many."""
        done, cursor = 0, None
        with self.database.transaction() as connection:
            while True:
                page = list_entries(connection, org=org, cursor=cursor, limit=500)
                for entry in page.items:
                    self._save(connection, entry, "schedule.reinitialized", account)
                    done += 1
                cursor = page.next
                if cursor is None:
                    return done

    def preview(self, entry: Entry, count: int, after: datetime | None = None) -> list[datetime]:
        """Its next so many occurrences, whether enabled or not."""
        moments = occurrences(
            entry.document.rule, entry.anchor, max(after or self.clock(), entry.seen_at)
        )
        till = entry.document.active_till
        found = list(islice(moments, min(count, PREVIEW_MOST)))
        return [moment for moment in found if till is None or moment <= till]

    def _check(
        self, connection: Connection, schedule: Schedule, org: str, account: str, anchor: datetime
    ) -> dict[str, Any]:
        """The schedule as it may be shown, if it could ask for its job today."""
        check_recurs(schedule.rule, anchor)
        if schedule.active_till is not None and schedule.active_till <= anchor:
            raise InvalidSchedule(f"active_till {schedule.active_till} is past when it begins")
        if schedule.work.call is None:
            raise InvalidSchedule("work: a call is needed; plans and templates cannot recur yet")
        call = schedule.work.call
        now = self.clock()
        request = Request(
            id=str(uuid7()),
            org=org,
            caller=account,
            agent=call.agent,
            action=call.action,
            data=call.data,
            target=call.target,
            created_at=now,
            retries=call.retries,
        )
        weighed = self.acceptance.weigh(connection, "", request, org=org, now=now)
        shown = msgspec.structs.replace(call, data=weighed.job.data)
        work = msgspec.structs.replace(schedule.work, call=shown)
        document: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(schedule, work=work))
        return document

    @contextmanager
    def _entry(self, name: str, org: str) -> Iterator[tuple[Connection, Entry]]:
        with self.database.transaction() as connection:
            yield connection, get_entry(connection, name, org=org, lock=True)

    def _save(
        self, connection: Connection, entry: Entry, kind: str, account: str, *, seen: bool = True
    ) -> Entry:
        """Write it as it is to be; `seen`: what has come until now is past."""
        entry = dataclasses.replace(entry, version=entry.version + 1)
        if seen:
            entry = dataclasses.replace(entry, seen_at=self.clock())
        entry = dataclasses.replace(entry, next_at=next_of(entry))
        save_entry(connection, entry)
        ring(connection, SCHEDULES)
        self._log(connection, entry, kind, account)
        return entry

    def _cancel(self, connection: Connection, entry: Entry, account: str) -> None:
        live = live_jobs(connection, entry.id)
        ledger = Ledger.of_jobs(connection, live, self.clock())
        for job in live:
            for run in ledger.runs_of(job):
                actor = account_key_id(account)
                call_off(ledger, run, actor=actor, is_alive=True, force=False)
        settle(ledger)
        ring(connection, DISPATCH)

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
