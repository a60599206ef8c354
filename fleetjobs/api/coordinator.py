"""Coordinator: who leads, what all of them are told, and what waits to be handed over."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from msgspec import Meta, Struct
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from fleetjobs.api.access import Admin, Caller, FleetAdmin, clean_query
from fleetjobs.api.bodies import JSON, decode_body, json_body, read_body
from fleetjobs.api.desk import AtDesk
from fleetjobs.api.documents import Page
from fleetjobs.api.parameters import Part
from fleetjobs.api.problems import RESPONSES
from fleetjobs.control.relay import Standing

router = APIRouter(tags=["coordinator"], responses=RESPONSES, dependencies=[Depends(clean_query)])


class Word(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What goes into the event log beside the deed."""

    message: Annotated[str, Meta(max_length=1000)] = ""


_BODY = json_body(Word, required=False)


class Works(StrEnum):
    """Whether jobs are handed over."""

    WORKING = "working"
    PAUSED = "paused"  # told to hand nothing over
    STOPPED = "stopped"  # told to end, and none came since
    AWAY = "away"  # no coordinator leads, and nobody knows why


class CoordinatorDocument(BaseModel):
    """How the coordinators are."""

    state: Works
    holder: str | None = Field(description="host:pid of the one that leads")
    since: datetime | None = Field(description="since when it leads")
    until: datetime | None = Field(description="when its lease ends, unless it is renewed")
    message: str = Field(description="what was said when they were paused or stopped")

    @classmethod
    def of(cls, standing: Standing) -> "CoordinatorDocument":
        """The standing as a document."""
        said = standing.paused
        state = Works.PAUSED if standing.paused else Works.WORKING
        if standing.leader is None:
            said = standing.stopped
            ended = said is not None and (standing.until is None or said.at >= standing.until)
            state = Works.STOPPED if ended else Works.AWAY
        return cls(
            state=state,
            holder=standing.leader,
            since=standing.since,
            until=standing.until,
            message=said.message if said else "",
        )


class QueuedDocument(BaseModel):
    """A run that is due and not handed over."""

    job: str
    node: str
    attempt: int
    action: str = Field(description="agent.action")
    due_at: datetime


class Cleared(BaseModel):
    """What was cancelled."""

    cancelled: int = Field(description="runs")


@router.get("/coordinator", summary="Whether jobs are handed over")
def show(desk: AtDesk, caller: Caller) -> CoordinatorDocument:  # noqa: ARG001  any account may look
    """Who leads, and what all coordinators were told."""
    return CoordinatorDocument.of(desk.control.relay.standing())


@router.post("/coordinator/pause", summary="Hand nothing over", openapi_extra=_BODY)
async def pause(request: Request, desk: AtDesk, caller: FleetAdmin) -> CoordinatorDocument:
    """Jobs are accepted and kept; orders and questions still go out, what runs goes on."""
    word = await _word(request)
    await run_in_threadpool(desk.control.relay.pause, caller.name, word.message)
    return await run_in_threadpool(show, desk, caller)


@router.post("/coordinator/resume", summary="Hand over again", openapi_extra=_BODY)
async def resume(request: Request, desk: AtDesk, caller: FleetAdmin) -> CoordinatorDocument:
    """What was kept while paused is handed over."""
    await _word(request)
    await run_in_threadpool(desk.control.relay.resume, caller.name)
    return await run_in_threadpool(show, desk, caller)


@router.post("/coordinator/stop", summary="End all coordinators", openapi_extra=_BODY)
async def stop(request: Request, desk: AtDesk, caller: FleetAdmin) -> CoordinatorDocument:
    """Those that are at work now end; what runs on nodes goes on."""
    word = await _word(request)
    await run_in_threadpool(desk.control.relay.stop, caller.name, word.message)
    return await run_in_threadpool(show, desk, caller)


@router.get("/coordinator/outbox", summary="What waits to be handed over")
def outbox(desk: AtDesk, caller: Caller, query: Annotated[Part, Query()]) -> Page[QueuedDocument]:
    """The org's runs that are due, the longest due first."""
    page = desk.control.relay.outbox(org=caller.sees, cursor=query.cursor, limit=query.size)
    items = [
        QueuedDocument(**{name: getattr(run, name) for name in QueuedDocument.model_fields})
        for run in page.items
    ]
    return Page(items=items, next=page.next)


@router.delete("/coordinator/outbox", summary="Cancel what waits to be handed over")
def clear(desk: AtDesk, caller: Admin) -> Cleared:
    """The org's runs that are due; they become `cancelled`, none is lost."""
    return Cleared(cancelled=desk.control.relay.clear(org=caller.org, account=caller.name))


async def _word(request: Request) -> Word:
    if "content-type" not in request.headers and not await request.body():
        return Word()
    return decode_body(Word, await read_body(request, kinds={JSON}))
