"""Streams: a job's events as they happen, as server-sent events.

`id` is the event's seq, so that Last-Event-ID resumes, also after the server was restarted.
In between `progress` says how much of the job is done.
The last message is `end`, with the job; a stream that stops without it wants to be resumed.
Of a reader whose token counts no longer it is `refused`.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from fastapi.sse import format_sse_event
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from fleetjobs.api.admission import REFUSED, Admission
from fleetjobs.api.describing import describe
from fleetjobs.api.desk import Desk, find_job
from fleetjobs.api.job_documents import JobDocument
from fleetjobs.api.run_documents import EventDocument
from fleetjobs.jobs import Event, Job, Kind, Run
from fleetjobs.names import JobId
from fleetjobs.states import TERMINAL
from fleetjobs.store.events import list_events
from fleetjobs.store.plans import keys_of
from fleetjobs.store.runs import get_runs

PIECE = 500  #: events read at a time
ALIVE = timedelta(seconds=15)  #: silence that long is broken by a comment, for proxies' sake
RETRY_MS = 1000  #: when a browser comes back after the stream broke


class Only(StrEnum):
    """Which events are wanted."""

    ALL = "all"
    RUNS = "runs"  # of runs, not of the job
    ENDS = "ends"  # those that end a run or the job


EVENT_STREAM = "text/event-stream"


def stream_of(messages: AsyncIterator[bytes]) -> StreamingResponse:
    """A response that goes on for as long as there are messages."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(messages, media_type=EVENT_STREAM, headers=headers)


_KINDS = {
    Only.ALL: (),
    Only.RUNS: ("run.",),
    Only.ENDS: tuple(f"{noun}.{state}" for noun in ("run", "job") for state in sorted(TERMINAL)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What one look found."""

    messages: bytes
    last: int  # seq of the last event looked at
    more: bool  # there may be more at once
    over: bool  # the job has ended and all was told
    percent: float | None  # of the job that is done


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One follower of one job."""

    desk: Desk
    admission: Admission
    job: JobId
    org: str | None  # None: whosever it is
    only: Only = Only.ALL

    async def messages(self, after: int) -> AsyncIterator[bytes]:
        """All events of the job after that seq, until it has ended or the server is to end."""
        yield format_sse_event(retry=RETRY_MS, comment=f"job {self.job}")
        with self.desk.watch.follow(self.job) as changed:
            async for messages in self._news(after, changed):
                yield messages

    async def of_new(self, submit: Callable[[], tuple[JobDocument, bool]]) -> AsyncIterator[bytes]:
        """The job that `submit` gives, and whether it is new, as `job`; then all its events.

        Follows before it submits: what happens from then on is told without a look in between.
        Its acceptance rings for nobody who follows the job alone.
        """
        with self.desk.watch.follow(self.job) as changed:
            document, created = await run_in_threadpool(submit)
            text = document.model_dump_json()
            yield format_sse_event(retry=RETRY_MS, event="job", data_str=text)
            if created and not document.state.is_terminal:
                await self.desk.watch.wait(changed)
            async for messages in self._news(0, changed):
                yield messages

    async def _news(self, after: int, changed: asyncio.Event) -> AsyncIterator[bytes]:
        silent_since, percent = self.desk.clock(), None
        while not self.desk.watch.is_ending:
            if not await self.admission.holds():
                yield REFUSED
                return
            piece = await run_in_threadpool(self._look, after, percent)
            after, percent = piece.last, piece.percent
            if piece.messages:
                silent_since = self.desk.clock()
                yield piece.messages
            elif self.desk.clock() - silent_since > ALIVE:
                silent_since = self.desk.clock()
                yield format_sse_event(comment="alive")
            if piece.over:
                return
            if not piece.more:
                await self.desk.watch.wait(changed)

    def _look(self, after: int, percent: float | None) -> Piece:
        with self.desk.database.reading() as connection:
            # the job first: what ended before we read it has its events in what we read next
            job = find_job(connection, self.job, org=self.org)
            page = list_events(
                connection,
                org=self.org,
                after=after,
                limit=PIECE,
                kinds=_KINDS[self.only],
                **of_job_or_plan(job),
            )
            documents = with_runs(connection, page, legs=job.kind is Kind.PLAN)
            end = describe(connection, [job])[0].model_dump_json() if job.ended_at else ""
        more = len(page) == PIECE
        over = job.state.is_terminal and not more
        messages = [
            format_sse_event(
                id=str(document.seq), event=document.kind, data_str=document.model_dump_json()
            )
            for document in documents
        ]
        if job.percent != percent and self.only is not Only.RUNS and not (over or more):
            messages.append(_progress(job))
        if over:
            messages.append(format_sse_event(event="end", data_str=end))
        return Piece(
            messages=b"".join(messages),
            last=page[-1].seq if page else after,
            more=more,
            over=over,
            percent=job.percent if not more else percent,
        )


def _progress(job: Job) -> bytes:
    """How much of it is done. No event: it has no id, and is not told again."""
    text = json.dumps({"job": job.id, "percent_complete": job.percent})
    return format_sse_event(event="progress", data_str=text)


def of_job_or_plan(job: Job) -> dict[str, JobId]:
    """What to ask for the job's events by: those of a plan are also those of its legs."""
    return {"plan" if job.kind is Kind.PLAN else "job": job.id}


def with_runs(
    connection: Connection, events: Sequence[Event], *, legs: bool
) -> list[EventDocument]:
    """The events as documents; one that ended a run brings the run, and with `legs` its key."""
    names = {
        (event.job, event.node)
        for event in events
        if event.job is not None and event.node is not None and event.new in TERMINAL
    }
    runs: dict[tuple[str | None, str | None, str | None], Run] = {
        (job, node, run.state): run for (job, node), run in get_runs(connection, names).items()
    }
    keys = keys_of(connection, {event.job for event in events if event.job}) if legs else {}
    return [
        EventDocument.of(
            event,
            runs.get((event.job, event.node, event.new)),
            None if event.job is None else keys.get(event.job),
        )
        for event in events
    ]
