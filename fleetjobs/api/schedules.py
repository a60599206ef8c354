"""Schedules: work that recurs by a rule; made, changed, set aside, asked for, looked at."""

from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from msgspec import Meta, Struct
from starlette.concurrency import run_in_threadpool

from fleetjobs.api.access import Acting, Admin, Caller, Editor, Operator, clean_query
from fleetjobs.api.bodies import JSON, decode_body, json_body, own, read_body
from fleetjobs.api.describing import warned
from fleetjobs.api.desk import AtDesk, Desk
from fleetjobs.api.documents import Page
from fleetjobs.api.edits import read_version
from fleetjobs.api.job_documents import JobDocument
from fleetjobs.api.problems import CHANGES, RESPONSES
from fleetjobs.api.schedule_documents import (
    OccurrenceDocument,
    Reinitialized,
    ScheduleDocument,
    SharedSchedule,
)
from fleetjobs.api.schedule_finding import Named, own_schedule, seen_schedule, shared_schedules
from fleetjobs.api.schedule_queries import DeletionQuery, HistoryQuery, ListQuery
from fleetjobs.control.schedules import Schedules
from fleetjobs.documents import encode
from fleetjobs.plans.documents import PlanRequest
from fleetjobs.requests import Request as SignedRequest
from fleetjobs.schedules.documents import Schedule
from fleetjobs.store.schedules import Entry, list_entries, list_occurrences

router = APIRouter(
    tags=["schedules"], responses=RESPONSES | CHANGES, dependencies=[Depends(clean_query)]
)


class Skip(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many of the next occurrences are left out."""

    count: Annotated[int, Meta(ge=0, le=1000)] = 1


class _Patch(Struct, frozen=True, kw_only=True):
    patch: dict[str, Any]


MERGE = "application/merge-patch+json"
_PATCH: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {kind: {"schema": {"type": "object"}} for kind in (JSON, MERGE)},
    }
}


def merge(old: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """The old document with the patch applied. RFC 7396."""
    merged = dict(old)
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict) and isinstance(merged.get(name), dict):
            merged[name] = merge(merged[name], value)
        else:
            merged[name] = value
    return merged


@router.post(
    "/schedules",
    summary="Make a schedule",
    status_code=HTTPStatus.CREATED,
    openapi_extra=json_body(Schedule),
)
async def create(
    request: Request, response: Response, desk: AtDesk, caller: Editor
) -> ScheduleDocument:
    """Kept if its job could be asked for today; its label is unique in the org."""
    schedule = decode_body(Schedule, own(await read_body(request, kinds={JSON}), caller.org))
    entry = await run_in_threadpool(
        _schedules(desk, caller).create, schedule, org=caller.org, account=caller.name
    )
    response.headers["Location"] = f"/api/v1/schedules/{entry.id}"
    return _tagged(response, entry)


@router.get("/schedules", summary="List schedules")
def index(
    desk: AtDesk, caller: Caller, query: Annotated[ListQuery, Query()]
) -> Page[ScheduleDocument]:
    """The org's, the newest first; a fleet admin sees everybody's."""
    with desk.database.reading() as connection:
        page = list_entries(
            connection, org=caller.sees, cursor=query.cursor, limit=query.size, ended=query.ended
        )
    return Page(items=[ScheduleDocument.of(entry) for entry in page.items], next=page.next)


@router.get("/fleet-schedules", summary="What the fleet does by itself")
def shared(desk: AtDesk, caller: Admin) -> Page[SharedSchedule]:  # noqa: ARG001  any admin may
    """A rough list of the fleet's own schedules, if a fleet admin shares it; empty if not."""
    found = shared_schedules(desk)
    return Page(items=[SharedSchedule.of(entry) for entry in found], next=None)


@router.post("/schedules/reinitialize", summary="Count all rules anew from now on")
def reinitialize(desk: AtDesk, caller: Editor) -> Reinitialized:
    """What has come and was not looked at yet is left out: for a clock that was set."""
    done = _schedules(desk, caller).reinitialize(org=caller.org, account=caller.name)
    return Reinitialized(schedules=done)


@router.get("/schedules/{name}", summary="One schedule")
def show(desk: AtDesk, caller: Caller, name: Named, response: Response) -> ScheduleDocument:
    """By its label, or by its id even after it was deleted."""
    return _tagged(response, seen_schedule(desk, caller, name))


@router.put("/schedules/{name}", summary="Change a schedule", openapi_extra=json_body(Schedule))
async def change(
    request: Request,
    response: Response,
    desk: AtDesk,
    caller: Editor,
    name: Named,
    if_match: Annotated[str | None, Header(description="the ETag that was seen")] = None,
) -> ScheduleDocument:
    """The whole of it anew; its jobs and its history stay. From now on its jobs are yours."""
    schedule = decode_body(Schedule, own(await read_body(request, kinds={JSON}), caller.org))
    version = read_version(if_match)
    entry = await run_in_threadpool(
        lambda: _schedules(desk, caller, name).change(
            name, schedule, org=caller.org, account=caller.name, version=version
        )
    )
    return _tagged(response, entry)


@router.patch("/schedules/{name}", summary="Change parts of a schedule", openapi_extra=_PATCH)
async def amend(
    request: Request,
    response: Response,
    desk: AtDesk,
    caller: Editor,
    name: Named,
    if_match: Annotated[str | None, Header(description="the ETag that was seen")] = None,
) -> ScheduleDocument:
    """What is named becomes so, null takes it out, the rest stays: a merge patch (RFC 7396)."""
    raw = await read_body(request, kinds={JSON, MERGE})
    entry = await run_in_threadpool(_amend, desk, caller, name, raw, read_version(if_match))
    return _tagged(response, entry)


def _amend(desk: Desk, caller: Acting, name: str, raw: bytes, version: int | None) -> Entry:
    entry = own_schedule(desk, caller, name)
    raw = own(raw, caller.org)
    patch = decode_body(_Patch, b'{"patch":' + raw + b"}").patch
    merged = merge(msgspec.to_builtins(entry.document), patch)
    schedule = decode_body(Schedule, msgspec.json.encode(merged))
    return _schedules(desk, caller, name).change(
        name,
        schedule,
        org=caller.org,
        account=caller.name,
        version=entry.version if version is None else version,
    )


@router.delete("/schedules/{name}", summary="Delete a schedule")
def delete(
    desk: AtDesk, caller: Editor, name: Named, query: Annotated[DeletionQuery, Query()]
) -> ScheduleDocument:
    """No job comes of it any more; those it made, and its history, stay. Its label is free."""
    entry = _schedules(desk, caller, name).delete(
        name, org=caller.org, account=caller.name, cancel_running=query.cancel_running
    )
    return ScheduleDocument.of(entry)


@router.post("/schedules/{name}/enable", summary="Let a schedule go on")
def enable(desk: AtDesk, caller: Editor, name: Named) -> ScheduleDocument:
    """From now on; what came while it was disabled is not made up for."""
    return ScheduleDocument.of(
        _schedules(desk, caller, name).enable(name, org=caller.org, account=caller.name)
    )


@router.post("/schedules/{name}/disable", summary="Set a schedule aside")
def disable(desk: AtDesk, caller: Editor, name: Named) -> ScheduleDocument:
    """Until it is enabled; what is at work goes on."""
    return ScheduleDocument.of(
        _schedules(desk, caller, name).enable(
            name, org=caller.org, account=caller.name, enabled=False
        )
    )


@router.post(
    "/schedules/{name}/skip-next",
    summary="Leave out the next occurrences",
    openapi_extra=json_body(Skip, required=False),
)
async def skip_next(
    request: Request, desk: AtDesk, caller: Editor, name: Named
) -> ScheduleDocument:
    """So many of them, each on record as skipped; 0 takes it back."""
    raw = await read_body(request, kinds={JSON}) if "content-type" in request.headers else b"{}"
    count = decode_body(Skip, raw).count
    entry = await run_in_threadpool(
        _schedules(desk, caller, name).skip_next,
        name,
        org=caller.org,
        account=caller.name,
        count=count,
    )
    return ScheduleDocument.of(entry)


@router.post(
    "/schedules/{name}/run-now",
    summary="Ask for its job at once",
    status_code=HTTPStatus.ACCEPTED,
)
def run_now(desk: AtDesk, caller: Operator, name: Named, response: Response) -> JobDocument:
    """One more job, in your name; its occurrences come as before."""

    def seal(request: SignedRequest | PlanRequest) -> str:
        return desk.key.seal(encode(request))

    submission = _schedules(desk, caller, name).run_now(
        name, org=caller.org, account=caller.name, seal=seal
    )
    response.headers["Location"] = f"/api/v1/jobs/{submission.job.id}"
    return warned(desk, submission)


@router.get("/schedules/{name}/occurrences", summary="What became of its occurrences")
def history(
    desk: AtDesk, caller: Caller, name: Named, query: Annotated[HistoryQuery, Query()]
) -> Page[OccurrenceDocument]:
    """Each that has come, the latest first: it ran, or a reason why not."""
    entry = seen_schedule(desk, caller, name)
    with desk.database.reading() as connection:
        found = list_occurrences(connection, entry.id, before=query.before, limit=query.limit + 1)
    items = [OccurrenceDocument.of(item) for item in found[: query.limit]]
    more = len(found) > query.limit
    return Page(items=items, next=items[-1].at.isoformat() if more else None)


def _schedules(desk: Desk, caller: Acting, name: str | None = None) -> Schedules:
    """The schedules' desk; for one that is to be changed, if it is named."""
    if name is not None:
        own_schedule(desk, caller, name)
    return desk.control.schedules


def _tagged(response: Response, entry: Entry) -> ScheduleDocument:
    response.headers["ETag"] = f'"{entry.version}"'
    return ScheduleDocument.of(entry)
