"""Pauses: the fleet, an org or a node begins nothing; and what is still at work there."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from fleetjobs.api.access import Acting, Admin, Caller, check_fleet, clean_query
from fleetjobs.api.bodies import JSON, decode_body, json_body, read_body
from fleetjobs.api.coordinator import Word
from fleetjobs.api.desk import AtDesk
from fleetjobs.api.documents import Page
from fleetjobs.api.faults import InvalidParameter
from fleetjobs.api.problems import RESPONSES
from fleetjobs.control.pauses import Pause, Place

router = APIRouter(tags=["pauses"], responses=RESPONSES, dependencies=[Depends(clean_query)])
Named = Annotated[
    str, Path(alias="place", max_length=140, description="`all`, `org:NAME` or `node:NAME`")
]


class PauseDocument(BaseModel):
    """Whether something is paused, and what of it has not ended."""

    place: str = Field(description="`all`, `org:NAME` or `node:NAME`")
    paused: bool
    by: str | None
    at: datetime | None
    message: str
    at_work: int = Field(description="runs that have begun")
    with_nodes: int = Field(description="runs that nodes have and have not begun")
    waiting: int = Field(description="runs that are kept")
    drained: bool = Field(description="paused, and nothing is at work or with nodes any more")

    @classmethod
    def of(cls, pause: Pause) -> "PauseDocument":
        """The pause as a document."""
        said, unended = pause.said, pause.unended
        busy = unended.at_work + unended.with_nodes
        return cls(
            place=_name(pause.place),
            paused=said is not None,
            by=said.by if said else None,
            at=said.at if said else None,
            message=said.message if said else "",
            at_work=unended.at_work,
            with_nodes=unended.with_nodes,
            waiting=unended.waiting,
            drained=said is not None and not busy,
        )


def _name(place: Place) -> str:
    if place.org is not None:
        return f"org:{place.org}"
    return "all" if place.node is None else f"node:{place.node}"


async def _place(name: Named) -> Place:
    """The place of that name. Raises InvalidParameter."""
    kind, colon, rest = name.partition(":")
    if name == "all":
        return Place()
    if kind == "org" and colon and rest:
        return Place(org=rest)
    if kind == "node" and colon and rest:
        return Place(node=rest)
    raise InvalidParameter(f"{name[:60]!r} is none of all, org:NAME, node:NAME", field="place")


AtPlace = Annotated[Place, Depends(_place)]
_BODY = json_body(Word, required=False)


@router.get("/pauses", summary="List what is paused")
def index(desk: AtDesk, caller: Caller) -> Page[PauseDocument]:
    """What concerns the org."""
    found = desk.control.pauses.list(org=caller.org)
    return Page(items=[PauseDocument.of(each) for each in found], next=None)


@router.get("/pauses/{place}", summary="Whether it is paused, and what is at work")
def show(desk: AtDesk, caller: Caller, place: AtPlace) -> PauseDocument:
    """Also of what is not paused."""
    return PauseDocument.of(desk.control.pauses.show(place, org=caller.org))


@router.put("/pauses/{place}", summary="Begin nothing there", openapi_extra=_BODY)
async def put(request: Request, desk: AtDesk, caller: Admin, place: AtPlace) -> PauseDocument:
    """Jobs are accepted and kept, what is at work goes on; it survives restarts."""
    _check(caller, place)
    word = Word()
    if "content-type" in request.headers or await request.body():
        word = decode_body(Word, await read_body(request, kinds={JSON}))
    pause = await run_in_threadpool(
        desk.control.pauses.pause,
        place,
        org=caller.org,
        account=caller.name,
        message=word.message,
    )
    return PauseDocument.of(pause)


@router.delete("/pauses/{place}", summary="Begin again what has waited")
def delete(desk: AtDesk, caller: Admin, place: AtPlace) -> PauseDocument:
    """Twice is once."""
    _check(caller, place)
    pause = desk.control.pauses.resume(place, org=caller.org, account=caller.name)
    return PauseDocument.of(pause)


def _check(caller: Acting, place: Place) -> None:
    if place == Place():
        check_fleet(caller, "pausing all orgs")
