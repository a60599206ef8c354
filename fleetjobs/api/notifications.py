"""Notifications: what was told to whom, and who wishes to hear of what."""

from datetime import datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from msgspec import Meta, Struct
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from fleetjobs.access import Role
from fleetjobs.api.access import Caller, Operator, clean_query
from fleetjobs.api.bodies import JSON, decode_body, json_body, read_body
from fleetjobs.api.desk import AtDesk
from fleetjobs.api.documents import Page
from fleetjobs.api.parameters import Parameters, Part
from fleetjobs.api.problems import RESPONSES
from fleetjobs.errors import Denied
from fleetjobs.names import job_id
from fleetjobs.notices import Notice, Topic
from fleetjobs.store.notices import Wish, list_notices

router = APIRouter(tags=["notifications"], responses=RESPONSES, dependencies=[Depends(clean_query)])
Named = Annotated[str, Path(max_length=64, description="its id")]
_SINK = Annotated[str, Meta(max_length=2000)]


class Standing(StrEnum):
    """What has become of a notification."""

    WAITING = "waiting"  # it is still to be told, or told again
    SENT = "sent"
    FAILED = "failed"  # it was given up


class WishWish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom to tell of what."""

    to: Annotated[tuple[_SINK, ...], Meta(min_length=1, description="mail:…, webhook:…")]
    on: Annotated[str, Meta(max_length=200)] = "failure,attention"
    job: Annotated[str, Meta(max_length=64)] | None = None  # null: all jobs of the org


class TestWish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to send a test."""

    to: _SINK


class ListQuery(Part):
    """Which notifications."""

    state: Standing | None = Field(None, description="waiting, sent or failed")


class WishQuery(Parameters):
    """Which wishes."""

    job: str | None = Field(None, max_length=64, description="of that job alone")


class NotificationDocument(BaseModel):
    """Something that is told to somebody."""

    id: str = Field(description="the same however often it is sent")
    state: Standing
    topic: Topic
    to: str
    job: str | None
    schedule: str | None
    told: dict[str, Any] = Field(description="what is told")
    created_at: datetime
    next_at: datetime | None = Field(description="when it is sent, or sent again")
    sent_at: datetime | None
    tries: int
    error: str = Field(description="why it was not taken the last time")

    @classmethod
    def of(cls, notice: Notice) -> "NotificationDocument":
        """The notice as a document."""
        ended = Standing.SENT if notice.sent_at else Standing.FAILED
        return cls(
            id=notice.id,
            state=Standing.WAITING if notice.due_at else ended,
            topic=notice.topic,
            to=notice.sink,
            job=notice.job,
            schedule=notice.schedule,
            told=notice.document,
            created_at=notice.created_at,
            next_at=notice.due_at,
            sent_at=notice.sent_at,
            tries=notice.tries,
            error=notice.error,
        )


class WishDocument(BaseModel):
    """Somebody wishes to hear of a job, or of all jobs of the org."""

    id: str
    job: str | None = Field(description="null: all jobs of the org that are no part of another")
    to: list[str]
    on: list[str]
    duration_s: float | None = Field(description="a job that takes longer is told of, once")
    by: str
    created_at: datetime

    @classmethod
    def of(cls, wish: Wish) -> "WishDocument":
        """The wish as a document."""
        return cls(
            id=wish.id,
            job=wish.job or None,
            to=list(wish.sinks),
            on=list(wish.topics),
            duration_s=wish.duration_s,
            by=wish.by,
            created_at=wish.created_at,
        )


@router.get("/notifications", summary="List notifications")
def index(
    desk: AtDesk, caller: Caller, query: Annotated[ListQuery, Query()]
) -> Page[NotificationDocument]:
    """The org's, the newest first; fleet admins see all, and what is told to admins."""
    with desk.database.reading() as connection:
        page = list_notices(
            connection, org=caller.sees, state=query.state, cursor=query.cursor, limit=query.size
        )
    return Page(items=[NotificationDocument.of(item) for item in page.items], next=page.next)


@router.post("/notifications/{name}/retry", summary="Send a notification again")
def retry(desk: AtDesk, caller: Operator, name: Named) -> NotificationDocument:
    """At once, whatever became of it; its id stays the same."""
    notice = desk.control.notices.retry(name, org=caller.sees, account=caller.name)
    return NotificationDocument.of(notice)


@router.post(
    "/notifications/test",
    summary="Send a test",
    status_code=HTTPStatus.ACCEPTED,
    openapi_extra=json_body(TestWish),
)
async def test(request: Request, desk: AtDesk, caller: Operator) -> NotificationDocument:
    """To see whether it comes."""
    wish = decode_body(TestWish, await read_body(request, kinds={JSON}))
    notice = await run_in_threadpool(
        desk.control.notices.test, wish.to, org=caller.org, account=caller.name
    )
    return NotificationDocument.of(notice)


@router.get("/notifications/wishes", summary="List who wishes to hear of what")
def wishes(
    desk: AtDesk, caller: Caller, query: Annotated[WishQuery, Query()]
) -> Page[WishDocument]:
    """The org's, the newest first; those of schedules are in the schedules."""
    found = desk.control.notices.wishes(org=caller.org, job=query.job)
    return Page(items=[WishDocument.of(wish) for wish in found], next=None)


@router.post(
    "/notifications/wishes",
    summary="Wish to hear of a job",
    status_code=HTTPStatus.CREATED,
    openapi_extra=json_body(WishWish),
)
async def wish_for(request: Request, desk: AtDesk, caller: Operator) -> WishDocument:
    """Of one, even before it is submitted by that id; admins: of all jobs of the org."""
    wanted = decode_body(WishWish, await read_body(request, kinds={JSON}))
    if wanted.job is None and not caller.role.reaches(Role.ADMIN):
        raise Denied(f"{caller.name} is no admin; name a job")
    wish = await run_in_threadpool(
        desk.control.notices.wish,
        org=caller.org,
        account=caller.name,
        job=None if wanted.job is None else job_id(wanted.job),
        sinks=wanted.to,
        on=wanted.on,
    )
    return WishDocument.of(wish)


@router.delete("/notifications/wishes/{name}", summary="Wish to hear no more")
def drop(desk: AtDesk, caller: Operator, name: Named) -> Page[WishDocument]:
    """What is to be told already is told. Gives the wishes that are left."""
    desk.control.notices.drop(name, org=caller.org, account=caller.name)
    found = desk.control.notices.wishes(org=caller.org)
    return Page(items=[WishDocument.of(wish) for wish in found], next=None)
