"""Windows: when what may begin, and when nothing may."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from msgspec import Meta, Struct, to_builtins
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from fleetjobs.api.access import Acting, Admin, Caller, check_fleet, clean_query
from fleetjobs.api.bodies import JSON, decode_body, json_body, read_body
from fleetjobs.api.desk import AtDesk, Desk
from fleetjobs.api.documents import Page
from fleetjobs.api.edits import read_version
from fleetjobs.api.parameters import Moment, Parameters, Words
from fleetjobs.api.problems import CHANGES, RESPONSES
from fleetjobs.api.resolving import Resolve, resolve
from fleetjobs.control.calendars import read_calendar
from fleetjobs.errors import InvalidSchedule
from fleetjobs.schedules.windows import Opening, Window, WindowKind, periods
from fleetjobs.store.windows import Calendar
from fleetjobs.targets import Target

router = APIRouter(
    tags=["windows"], responses=RESPONSES | CHANGES, dependencies=[Depends(clean_query)]
)
Named = Annotated[str, Path(max_length=128, description="a window's name")]
CALENDAR_MOST = 1_000_000  #: characters of an iCalendar file


class WindowWish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A window: its times by rules, or as an iCalendar file."""

    name: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")]
    kind: WindowKind
    openings: Annotated[tuple[Opening, ...], Meta(max_length=1000)] = ()
    calendar: Annotated[str, Meta(max_length=CALENDAR_MOST, description="RFC 5545")] | None = None
    target: Target = Target()
    fleet: bool = False  # of all orgs

    def window(self) -> Window:
        """The window that it asks for. Raises InvalidSchedule."""
        if bool(self.openings) == (self.calendar is not None):
            raise InvalidSchedule("give the times either as openings or as a calendar")
        openings = self.openings
        if self.calendar is not None:
            openings = read_calendar(self.calendar.encode())
        return Window(
            name=self.name,
            kind=self.kind,
            openings=openings,
            target=self.target,
            fleet=self.fleet,
        )


class ResolveQuery(Parameters):
    """What becomes of jobs whose time would no longer be inside."""

    resolve: Words = Field(
        default=["refuse"],
        description="tried in this order: next, nearest, previous (another time), cancel, refuse",
    )
    dry_run: bool = Field(default=False, description="say what would become of whom; keep nothing")


class PreviewQuery(Parameters):
    """Which of its times."""

    count: int = Field(5, ge=1, le=1000)
    after: Moment | None = Field(None, description="those that end later; by default than now")


class PeriodDocument(BaseModel):
    """A time of the window; `end` is no longer a part of it."""

    start: datetime
    end: datetime


class DisplacedDocument(BaseModel):
    """A job whose time was inside, and what becomes of it."""

    job: str
    not_before: datetime
    resolve: Resolve
    moved_to: datetime | None


class WindowDocument(BaseModel):
    """A window."""

    name: str
    kind: WindowKind
    org: str | None = Field(description="null: of all orgs")
    target: dict[str, Any] = Field(description="the nodes that it is about; empty: all")
    openings: list[dict[str, Any]]
    version: int
    by: str
    at: datetime
    is_in: bool = Field(description="whether it is one of its times now")
    next_at: datetime | None = Field(description="when that changes, as far as can be foreseen")
    displaced: list[DisplacedDocument] = Field(
        default=[], description="jobs that had to give way to this change"
    )

    @classmethod
    def of(cls, calendar: Calendar, now: datetime) -> "WindowDocument":
        """The window as a document."""
        window = calendar.window
        first = next(periods(window, now), None)
        inside = first is not None and first.start <= now
        change = None if first is None else (first.end if inside else first.start)
        return cls(
            name=window.name,
            kind=window.kind,
            org=calendar.org,
            target=to_builtins(window.target),
            openings=to_builtins(window.openings),
            version=calendar.version,
            by=calendar.by,
            at=calendar.at,
            is_in=inside,
            next_at=change,
        )


_BODY = json_body(WindowWish)


@router.get("/windows", summary="List windows")
def index(desk: AtDesk, caller: Caller) -> Page[WindowDocument]:
    """Those of the fleet, and the org's own."""
    now = desk.clock()
    found = desk.control.windows.all(org=caller.org)
    return Page(items=[WindowDocument.of(each, now) for each in found], next=None)


@router.get("/windows/{name}", summary="One window")
def show(response: Response, desk: AtDesk, caller: Caller, name: Named) -> WindowDocument:
    """With its rules."""
    calendar = desk.control.windows.get(name, org=caller.org)
    response.headers["ETag"] = f'"{calendar.version}"'
    return WindowDocument.of(calendar, desk.clock())


@router.get("/windows/{name}/preview", summary="The times of a window")
def preview(
    desk: AtDesk, caller: Caller, name: Named, query: Annotated[PreviewQuery, Query()]
) -> Page[PeriodDocument]:
    """From now on, unless told otherwise."""
    window = desk.control.windows.get(name, org=caller.org).window
    found = periods(window, query.after or desk.clock())
    items = [
        PeriodDocument(start=period.start, end=period.end)
        for _, period in zip(range(query.count), found, strict=False)
    ]
    return Page(items=items, next=None)


@router.post(
    "/windows", summary="Make a window", status_code=HTTPStatus.CREATED, openapi_extra=_BODY
)
async def create(
    request: Request,
    response: Response,
    desk: AtDesk,
    caller: Admin,
    query: Annotated[ResolveQuery, Query()],
) -> WindowDocument:
    """It holds from now on, also for what nodes have and have not begun."""
    wish = decode_body(WindowWish, await read_body(request, kinds={JSON}))
    document = await run_in_threadpool(_keep, desk, caller, wish, query, None, new=True)
    response.headers["Location"] = f"/api/v1/windows/{quote(document.name, safe='')}"
    if query.dry_run:
        response.status_code = HTTPStatus.OK
    return document


@router.put("/windows/{name}", summary="Change a window", openapi_extra=_BODY)
async def put(
    request: Request,
    desk: AtDesk,
    caller: Admin,
    name: Named,
    query: Annotated[ResolveQuery, Query()],
    if_match: Annotated[str | None, Header()] = None,
) -> WindowDocument:
    """The whole of it anew."""
    wish = decode_body(WindowWish, await read_body(request, kinds={JSON}))
    if wish.name != name:
        raise InvalidSchedule(f"the window is {wish.name[:80]!r}, the path says {name[:80]!r}")
    version = read_version(if_match)
    return await run_in_threadpool(_keep, desk, caller, wish, query, version, new=False)


def _keep(
    desk: Desk,
    caller: Acting,
    wish: WindowWish,
    query: ResolveQuery,
    version: int | None,
    *,
    new: bool,
) -> WindowDocument:
    window, org = wish.window(), caller.org
    if window.fleet:
        check_fleet(caller, "a window of all orgs")
    windows = desk.control.windows
    if not new:
        windows.get(window.name, org=org)
    ways = resolve(windows.displaced(window, org=org), query.resolve)
    if query.dry_run:
        place = None if window.fleet else org
        calendar = Calendar(org=place, window=window, version=0, by=caller.name, at=desk.clock())
    elif new:
        calendar = windows.create(window, org=org, account=caller.name)
    else:
        calendar = windows.change(window, org=org, account=caller.name, version=version)
    document = WindowDocument.of(calendar, desk.clock())
    for way in ways:
        if not query.dry_run:
            way.take(desk, caller)
        document.displaced.append(
            DisplacedDocument(
                job=way.job.id, not_before=way.was, resolve=way.how, moved_to=way.moved_to
            )
        )
    return document


@router.delete("/windows/{name}", summary="Delete a window")
def delete(desk: AtDesk, caller: Admin, name: Named) -> WindowDocument:
    """Who waited for it is looked at again."""
    if desk.control.windows.get(name, org=caller.org).org is None:
        check_fleet(caller, "a window of all orgs")
    calendar = desk.control.windows.delete(name, org=caller.org, account=caller.name)
    return WindowDocument.of(calendar, desk.clock())
