"""Events: the append-only log, of one job or of the org, by the page or as it is written."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from fleetjobs.api.access import Caller, clean_query
from fleetjobs.api.admission import Admission
from fleetjobs.api.desk import AtDesk, Desk, find_job
from fleetjobs.api.documents import Page
from fleetjobs.api.faults import InvalidParameter
from fleetjobs.api.parameters import PAGE, PAGE_MAX, SEQ_MAX, InJob, Parameters, Words
from fleetjobs.api.problems import RESPONSES
from fleetjobs.api.run_documents import EventDocument
from fleetjobs.api.streams import EVENT_STREAM, Only, Stream, of_job_or_plan, stream_of, with_runs
from fleetjobs.names import JobId
from fleetjobs.store.events import list_events

router = APIRouter(tags=["events"], responses=RESPONSES, dependencies=[Depends(clean_query)])

_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A page; or, with `Accept: text/event-stream`, all events as they happen.",
        "content": {EVENT_STREAM: {"schema": {"type": "string"}}},
    }
}


class EventQuery(Parameters):
    """Which events."""

    after: int = Field(0, ge=0, le=SEQ_MAX, description="only events after this seq")
    kind: Words = Field([], description="such as run.failed, or run. for all that begin so")
    limit: int = Field(PAGE, ge=1, description=f"items on a page; at most {PAGE_MAX} are given")


class StreamQuery(EventQuery):
    """Which events, by the page or as they happen."""

    only: Only = Field(Only.ALL, description="of a stream: which events")


@dataclass(frozen=True, slots=True)
class Following:
    """Whether a stream is wanted, and where it goes on."""

    wanted: bool
    last: int | None  # seq of the last event that arrived


async def _following(
    accept: Annotated[str, Header(include_in_schema=False)] = "",
    last_event_id: Annotated[str | None, Header(description="resumes a stream")] = None,
) -> Following:
    if not last_event_id:
        return Following(EVENT_STREAM in accept, None)
    seq = int(last_event_id) if last_event_id.isascii() and last_event_id.isdecimal() else -1
    if not 0 <= seq <= SEQ_MAX:
        raise InvalidParameter(f"{last_event_id[:60]!r} is no event's id", field="Last-Event-ID")
    return Following(EVENT_STREAM in accept, seq)


@router.get("/events", summary="Events of the org")
def index(
    desk: AtDesk, caller: Caller, query: Annotated[EventQuery, Query()]
) -> Page[EventDocument]:
    """What happened, the oldest first; `next` is the seq to ask after."""
    return _page(desk, query, org=caller.sees)


@router.get(
    "/jobs/{job}/events",
    summary="Events of a job",
    response_model=Page[EventDocument],
    responses=_STREAM,
)
async def of_job(
    desk: AtDesk,
    caller: Caller,
    job: InJob,
    query: Annotated[StreamQuery, Query()],
    following: Annotated[Following, Depends(_following)],
) -> Page[EventDocument] | Response:
    """What happened to the job and its runs, and of a plan to its legs and theirs.

    An event that ended a run brings the run.

    As a stream, `id` is the event's seq and `event` its kind; `progress`, without an id, says how
    much of the job is done when that has changed; the last message is `end` with the job. A stream
    that stops without it is resumed by Last-Event-ID. `refused` ends it within seconds once the
    token counts no longer, or the account was disabled or has another role.
    """
    if not following.wanted:
        return await run_in_threadpool(_page, desk, query, org=caller.sees, job=job)
    await run_in_threadpool(desk.job, job, org=caller.sees)
    stream = Stream(
        desk=desk, admission=Admission(desk, caller), job=job, org=caller.sees, only=query.only
    )
    after = query.after if following.last is None else following.last
    return stream_of(stream.messages(after))


def _page(
    desk: Desk, query: EventQuery, *, org: str | None, job: JobId | None = None
) -> Page[EventDocument]:
    limit = min(query.limit, PAGE_MAX)
    with desk.database.reading() as connection:
        of = {} if job is None else of_job_or_plan(find_job(connection, job, org=org))
        events = list_events(
            connection, org=org, after=query.after, limit=limit, kinds=query.kind, **of
        )
        items = with_runs(connection, events, legs="job" not in of)
    return Page(items=items, next=str(events[-1].seq) if len(events) == limit else None)
