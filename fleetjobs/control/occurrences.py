"""Occurrences: moments of a schedule become jobs, or a reason why not."""

import dataclasses
import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice, takewhile
from uuid import UUID, uuid5

from sqlalchemy import Connection

from fleetjobs.control.acceptance import Acceptance, Survey
from fleetjobs.control.blackouts import Blackouts
from fleetjobs.control.forecasts import START_WITHIN_S
from fleetjobs.control.keeping import keep_plain
from fleetjobs.control.works import Asker, Mark, Seal, Start
from fleetjobs.errors import Denied, InvalidSchedule, Refused
from fleetjobs.names import JobId
from fleetjobs.schedules.documents import Misfire, Overlap
from fleetjobs.schedules.due import Due, Fate, jitter, judge_due
from fleetjobs.schedules.recurrence import occurrences
from fleetjobs.states import Reason, State
from fleetjobs.store.accepting import Plain
from fleetjobs.store.bells import CHANGES
from fleetjobs.store.cancels import call_off
from fleetjobs.store.database import ring
from fleetjobs.store.entries import COORDINATOR
from fleetjobs.store.followers import followers_of
from fleetjobs.store.judging import settle
from fleetjobs.store.ledger import Ledger
from fleetjobs.store.schedules import (
    Entry,
    Occurrence,
    advance_entries,
    live_jobs,
    live_jobs_of,
    note_occurrences,
)

AT_ONCE = 1000  #: moments of one schedule that are judged together; the rest follows
logger = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Sitting:
    """Schedules that are looked at in one transaction; what all of them ask is asked once."""

    connection: Connection
    acceptance: Acceptance
    seal: Seal
    now: datetime
    found: list[Occurrence] = field(default_factory=list)
    _surveys: defaultdict[str, Survey] = field(default_factory=lambda: defaultdict(Survey))
    _live: dict[str, list[JobId]] = field(default_factory=dict)
    _made: list[Plain] = field(default_factory=list)  # and not kept yet
    _blackouts: dict[str, Blackouts] = field(default_factory=dict)

    def serve(self, entries: Sequence[Entry]) -> None:
        """Give what has come of these schedules, which are locked, its fates."""
        self._live = live_jobs_of(self.connection, [entry.id for entry in entries])
        served = [self._serve(entry) for entry in entries]
        self._keep()
        note_occurrences(self.connection, self.found)
        advance_entries(self.connection, served)

    def _serve(self, entry: Entry) -> Entry:
        """What has come of one of them; one that cannot be read any more keeps up no other."""
        try:
            return Round(sitting=self, entry=entry).take()
        except InvalidSchedule as error:  # its zone may be gone from the list of zones
            logger.error("schedule %s: %s", entry.label, error)
            return Round(sitting=self, entry=entry).give_up(str(error))

    def live(self, schedule: str) -> list[JobId]:
        """The schedule's jobs that have not ended, the oldest first."""
        known = self._live.pop(schedule, None)  # once: then there is one more
        if known is not None:
            return known
        self._keep()
        return live_jobs(self.connection, schedule)

    def _keep(self) -> None:
        """Keep the plain jobs that were made since."""
        keep_plain(self.connection, self._made, self.now)
        self._made.clear()

    def blackouts(self, org: str) -> Blackouts:
        """What keeps occurrences from becoming jobs."""
        if org not in self._blackouts:
            self._blackouts[org] = Blackouts.read(self.connection, org)
        return self._blackouts[org]

    def asker(self, org: str, caller: str) -> Asker:
        """Asks in that account's name."""
        return Asker(
            connection=self.connection,
            acceptance=self.acceptance,
            seal=self.seal,
            org=org,
            caller=caller,
            now=self.now,
            survey=self._surveys[org],
            later=self._made,
        )


@dataclass(slots=True, kw_only=True)
class Round:
    """One look at one schedule, locked; used once."""

    sitting: Sitting
    entry: Entry

    @property
    def connection(self) -> Connection:
        """Where it is written."""
        return self.sitting.connection

    @property
    def now(self) -> datetime:
        """The time for all schedules of the sitting."""
        return self.sitting.now

    def take(self) -> Entry:
        """Give every moment that has come its fate; the schedule, with its next one."""
        schedule = self.entry.document
        moments = list(islice(self._come(), AT_ONCE))
        dark = self.sitting.blackouts(self.entry.org).hold(moments, schedule.work)
        for moment in dark:
            self._note(moment, Fate.SKIPPED, Reason.WINDOW)
        hopeful = [moment for moment in moments if moment not in dark]
        judged = judge_due(hopeful, self.now, schedule)
        for due in judged:
            self._settle(due)
        self._tell_of_missed(judged)
        seen_at = moments[-1] if len(moments) == AT_ONCE else self.now
        self.entry = dataclasses.replace(self.entry, seen_at=max(seen_at, self.entry.seen_at))
        return dataclasses.replace(self.entry, next_at=next_of(self.entry))

    def give_up(self, why: str) -> Entry:
        """Await nothing more, until a person has changed it; a job that failed says why."""
        at = self.entry.next_at or self.now
        mark, name = self._count(0), job_of(self.entry.id, at)
        self._fail(name, Start(), mark, State.FAILED, Reason.INVALID, why)
        self._note(at, Fate.RAN, None, name)
        return dataclasses.replace(self.entry, seen_at=self.now, next_at=None)

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
        before = self.sitting.live(self.entry.id)
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
                room = 1 if schedule.work.call is None else 2  # a plan waits for no other job
            case Overlap.QUEUE_ALL:
                room = 1 + schedule.queue_limit
            case _:
                return None
        return live[-1] if len(live) >= room else None

    def _cancel(self, live: list[JobId]) -> None:
        """Call them off, and with them what their actions asked for."""
        whole = [*live, *followers_of(self.connection, live)]
        ledger = Ledger.of_jobs(self.connection, whole, self.now)
        for job in whole:
            entry = ledger.job_named(job)
            if not entry.state.is_terminal:
                ledger.touch(entry, called_off=True)
            for run in ledger.runs_of(job):
                call_off(ledger, run, actor=COORDINATOR, is_alive=True, force=False)
        ring(self.connection, CHANGES, ",".join(sorted(settle(ledger))))

    def _make(self, due: Due, after: list[JobId]) -> JobId:
        """The occurrence's job; one that cannot be accepted is a job that failed, and says why."""
        mark, name = self._count(due.missed_count), job_of(self.entry.id, due.at)
        work, start = self.entry.document.work, self._start_of(due, after)
        try:
            self._asker.ask(work, name, start, mark)
        except Refused as refused:
            logger.warning("schedule %s: %s: %s", self.entry.label, due.at, refused)
            reason = Reason.DENIED if isinstance(refused, Denied) else Reason.INVALID
            self._fail(name, start, mark, State.FAILED, reason, str(refused))
        return name

    def _start_of(self, due: Due, after: list[JobId]) -> Start:
        schedule = self.entry.document
        begin = due.at + jitter(self.entry.id, due.at, schedule.jitter_s)
        within_s = START_WITHIN_S if schedule.start_within_s is None else schedule.start_within_s
        return Start(
            not_before=begin if begin > self.now else None,
            start_before=max(begin, self.now) + timedelta(seconds=within_s + schedule.splay_s),
            splay_s=schedule.splay_s,
            priority=schedule.priority,
            after=after,
        )

    def _tell_of_missed(self, judged: list[Due]) -> None:
        """What was missed beyond its grace is one expired job: silence would not do."""
        missed = [due for due in judged if due.fate is Fate.MISSED]
        nothing = all(due.fate is not Fate.RAN for due in judged)
        if not missed or not nothing or self.entry.document.misfire is Misfire.SKIP:
            return
        name, start = job_of(self.entry.id, missed[-1].at), self._start_of(missed[-1], [])
        why = "nobody was there to start it in time"
        self._fail(name, start, self._count(len(missed)), State.EXPIRED, Reason.MISSED, why)

    def _count(self, missed_count: int) -> Mark:
        """Count one more job; gives what marks it as the schedule's."""
        entry = self.entry = dataclasses.replace(self.entry, made=self.entry.made + 1)
        return lambda job: dataclasses.replace(
            job, schedule=entry.id, occurrence=entry.made, missed_count=missed_count
        )

    def _fail(
        self, name: JobId, start: Start, mark: Mark, state: State, reason: Reason, why: str
    ) -> None:
        data = self.entry.shown["work"].get("call", {}).get("data", {})
        work = self.entry.document.work
        self._asker.fail(work, name, start, mark, state=state, reason=reason, why=why, data=data)

    @property
    def _asker(self) -> Asker:
        return self.sitting.asker(self.entry.org, self.entry.owner)

    def _note(
        self, at: datetime, fate: Fate, reason: Reason | None, job: JobId | None = None
    ) -> None:
        self.sitting.found.append(
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


def next_of(entry: Entry) -> datetime | None:
    """When the schedule's next occurrence comes; None if none is awaited."""
    schedule = entry.document
    over = schedule.max_jobs is not None and entry.made >= schedule.max_jobs
    if not schedule.enabled or entry.barred or entry.ended_at is not None or over:
        return None
    following = next(iter(occurrences(schedule.rule, entry.anchor, entry.seen_at)), None)
    if following is None or (schedule.active_till and following > schedule.active_till):
        return None
    return following
