"""Occurrences: moments of a schedule become jobs, or a reason why not. spec/semantics.md, E1-E4."""

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice, takewhile
from uuid import UUID, uuid5

from sqlalchemy import Connection

from fleetjobs.control.acceptance import Acceptance, meaning_of
from fleetjobs.control.keeping import keep_job
from fleetjobs.errors import Denied, Refused
from fleetjobs.jobs import Job, JobId
from fleetjobs.messages import After, Request
from fleetjobs.schedules.documents import Call, Misfire, Overlap, Schedule
from fleetjobs.schedules.due import Due, Fate, jitter, judge_due
from fleetjobs.schedules.recurrence import occurrences
from fleetjobs.states import Reason, StartIf, State, Tally
from fleetjobs.store.access import get_account
from fleetjobs.store.bells import CHANGES
from fleetjobs.store.cancels import call_off
from fleetjobs.store.database import ring
from fleetjobs.store.entries import COORDINATOR
from fleetjobs.store.jobs import insert_job
from fleetjobs.store.judging import settle
from fleetjobs.store.ledger import Ledger
from fleetjobs.store.schedules import Entry, Occurrence, live_jobs, note_occurrences, save_entry

START_WITHIN_S = 3600.0  #: of each job, if the schedule says nothing. spec/semantics.md, E1
AT_ONCE = 1000  #: moments of one schedule that are judged together; the rest follows
Seal = Callable[[Request], str]  #: signs for the schedule's owner


@dataclass(slots=True, kw_only=True)
class Round:
    """One look at one schedule, locked; used once."""

    connection: Connection
    acceptance: Acceptance
    seal: Seal
    now: datetime
    entry: Entry
    found: list[Occurrence] = field(default_factory=list)

    def take(self) -> int:
        """Give every moment that has come its fate, and say when the next one comes; how many."""
        schedule = self.entry.document
        moments = list(islice(self._come(), AT_ONCE))
        judged = judge_due(moments, self.now, schedule)
        for due in judged:
            self._settle(due)
        self._tell_of_missed(judged)
        note_occurrences(self.connection, self.found)
        seen_at = moments[-1] if len(moments) == AT_ONCE else self.now
        self.entry = dataclasses.replace(self.entry, seen_at=max(seen_at, self.entry.seen_at))
        self.entry = dataclasses.replace(self.entry, next_at=next_of(self.entry))
        save_entry(self.connection, self.entry)
        return len(moments)

    def _come(self) -> Iterable[datetime]:
        entry = self.entry
        moments = occurrences(entry.document.rule, entry.anchor, entry.seen_at)
        till = entry.document.active_till
        end = self.now if till is None else min(self.now, till)
        return takewhile(lambda moment: moment <= end, moments)

    def _settle(self, due: Due) -> None:
        most = self.entry.document.max_jobs
        if due.fate is not Fate.RAN:
            self._note(due.at, due.fate, Reason.MISSED if due.fate is Fate.MISSED else None)
        elif most is not None and self.entry.made >= most:
            return
        elif self.entry.skips:
            self.entry = dataclasses.replace(self.entry, skips=self.entry.skips - 1)
            self._note(due.at, Fate.SKIPPED, Reason.SKIP_NEXT)
        else:
            self._start(due)

    def _start(self, due: Due) -> None:
        before = live_jobs(self.connection, self.entry.id)
        rival = self._rival(before)
        if rival is not None:
            self._note(due.at, Fate.SKIPPED, Reason.OVERLAP, rival)
            return
        after = before[-1:] if self.entry.document.overlap is not Overlap.ALLOW else []
        if self.entry.document.overlap is Overlap.CANCEL_PREVIOUS:
            self._cancel(before)
        job = self._make(due, after)
        self._note(due.at, Fate.RAN, None, job)

    def _rival(self, live: list[JobId]) -> JobId | None:
        """The job because of which this occurrence does not become one; None: it may."""
        schedule = self.entry.document
        match schedule.overlap:
            case Overlap.SKIP | Overlap.COALESCE:
                room = 1
            case Overlap.QUEUE_ONE:
                room = 2
            case Overlap.QUEUE_ALL:
                room = 1 + schedule.queue_limit
            case _:
                return None
        return live[-1] if len(live) >= room else None

    def _cancel(self, live: list[JobId]) -> None:
        ledger = Ledger.of_jobs(self.connection, live, self.now)
        for job in live:
            for run in ledger.runs_of(job):
                call_off(ledger, run, actor=COORDINATOR, is_alive=True, force=False)
        ring(self.connection, CHANGES, ",".join(sorted(settle(ledger))))

    def _make(self, due: Due, after: list[JobId]) -> JobId:
        """The occurrence's job; one that cannot be accepted is a job that failed, and says why."""
        mark = self._count(due.missed_count)
        request = self._request(due, after)
        sealed = self.seal(request)
        try:
            if get_account(self.connection, self.entry.owner) is None:
                raise Denied(f"the account {self.entry.owner} is disabled")
            weighed = self.acceptance.weigh(
                self.connection, sealed, request, org=self.entry.org, now=self.now
            )
        except Refused as refused:
            reason = Reason.DENIED if isinstance(refused, Denied) else Reason.INVALID
            self._fail(request, State.FAILED, reason, mark)
            return JobId(request.id)
        job = mark(weighed.job)
        keep_job(self.connection, request, dataclasses.replace(weighed, job=job), self.now)
        return job.id

    def _request(self, due: Due, after: list[JobId]) -> Request:
        schedule, call = self.entry.document, call_of(self.entry.document)
        begin = due.at + jitter(self.entry.id, due.at, schedule.jitter_s)
        within_s = schedule.start_within_s
        return Request(
            id=job_of(self.entry.id, due.at),
            org=self.entry.org,
            caller=self.entry.owner,
            agent=call.agent,
            action=call.action,
            data=call.data,
            target=call.target,
            created_at=self.now,
            not_before=begin if begin > self.now else None,
            start_before=max(begin, self.now)
            + timedelta(seconds=START_WITHIN_S if within_s is None else within_s),
            after=tuple(After(job=job, when=StartIf.COMPLETED) for job in after),
            retries=call.retries,
        )

    def _tell_of_missed(self, judged: list[Due]) -> None:
        """What was missed beyond its grace is one expired job: silence would not do."""
        missed = [due for due in judged if due.fate is Fate.MISSED]
        nothing = all(due.fate is not Fate.RAN for due in judged)
        if not missed or not nothing or self.entry.document.misfire is Misfire.SKIP:
            return
        request = self._request(dataclasses.replace(missed[-1], fate=Fate.RAN), [])
        self._fail(request, State.EXPIRED, Reason.MISSED, self._count(len(missed)))

    def _count(self, missed_count: int) -> Callable[[Job], Job]:
        """Count one more job; gives what marks it as the schedule's."""
        entry = self.entry = dataclasses.replace(self.entry, made=self.entry.made + 1)
        return lambda job: dataclasses.replace(
            job, schedule=entry.id, occurrence=entry.made, missed_count=missed_count
        )

    def _fail(
        self, request: Request, state: State, reason: Reason, mark: Callable[[Job], Job]
    ) -> None:
        """A job that has ended before it began: it has no runs."""
        job = Job(
            id=JobId(request.id),
            org=request.org,
            caller=request.caller,
            agent=request.agent,
            action=request.action,
            data=self.entry.shown["work"]["call"].get("data", {}),
            target=request.target,
            sealed=self.seal(request),
            state=state,
            wait_reason=None,
            reason=reason,
            tally=Tally(),
            completion=None,
            attention=False,
            created_at=self.now,
            not_before=request.not_before,
            start_before=request.start_before,
            started_at=None,
            ended_at=self.now,
        )
        insert_job(self.connection, mark(job), [], meaning=meaning_of(request), dispatch_at=None)
        ring(self.connection, CHANGES, job.id)

    def _note(
        self, at: datetime, fate: Fate, reason: Reason | None, job: JobId | None = None
    ) -> None:
        self.found.append(
            Occurrence(
                schedule=self.entry.id,
                at=at,
                org=self.entry.org,
                fate=fate,
                reason=reason,
                job=job,
                noted_at=self.now,
            )
        )


def job_of(schedule: str, at: datetime) -> JobId:
    """The id of an occurrence's job: the same whoever makes it, so that it is made once."""
    return JobId(str(uuid5(UUID(schedule), at.isoformat())))


def call_of(schedule: Schedule) -> Call:
    """The action that the schedule asks for."""
    if schedule.work.call is None:
        raise LookupError("a schedule without a call was accepted")
    return schedule.work.call


def next_of(entry: Entry) -> datetime | None:
    """When the schedule's next occurrence comes; None if none is awaited."""
    schedule = entry.document
    over = schedule.max_jobs is not None and entry.made >= schedule.max_jobs
    if not schedule.enabled or entry.ended_at is not None or over:
        return None
    following = next(iter(occurrences(schedule.rule, entry.anchor, entry.seen_at)), None)
    if following is None or (schedule.active_till and following > schedule.active_till):
        return None
    return following
