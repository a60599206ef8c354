"""Outlooks: what schedules and rules will come to; nothing is kept."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.concurrency import run_in_threadpool

from fleetjobs.api.access import Caller, Editor, clean_query
from fleetjobs.api.bodies import JSON, decode_body, json_body, own, read_body
from fleetjobs.api.desk import AtDesk
from fleetjobs.api.problems import RESPONSES
from fleetjobs.api.schedule_documents import PreviewDocument, ScheduleCheck
from fleetjobs.api.schedule_finding import Named, seen_schedule
from fleetjobs.api.schedule_queries import PreviewQuery
from fleetjobs.control.outlooks import Outlooks
from fleetjobs.schedules.documents import Schedule
from fleetjobs.schedules.recurrence import anchor_of, check_recurs, preview
from fleetjobs.schedules.rules import Rule

router = APIRouter(tags=["schedules"], responses=RESPONSES, dependencies=[Depends(clean_query)])


@router.post("/schedules/check", summary="Try a schedule out", openapi_extra=json_body(Schedule))
async def check(request: Request, desk: AtDesk, caller: Editor) -> ScheduleCheck:
    """What it would come to, and which of its next times clash with windows; nothing is kept."""
    schedule = decode_body(Schedule, own(await read_body(request, kinds={JSON}), caller.org))
    look = Outlooks(desk.control.schedules)
    found = await run_in_threadpool(look.of, schedule, org=caller.org, account=caller.name)
    return ScheduleCheck.of(schedule, found)


@router.post("/schedules/preview", summary="Count a rule out", openapi_extra=json_body(Rule))
async def foresee(
    request: Request,
    desk: AtDesk,
    caller: Caller,  # noqa: ARG001  any account may
    query: Annotated[PreviewQuery, Query()],
) -> PreviewDocument:
    """When a rule would come true that is in no schedule yet, counted from now."""
    rule = decode_body(Rule, await read_body(request, kinds={JSON}))
    return await run_in_threadpool(_foresee, rule, desk.clock(), query)


def _foresee(rule: Rule, now: datetime, query: PreviewQuery) -> PreviewDocument:
    anchor = anchor_of(rule, now)
    check_recurs(rule, anchor)
    return PreviewDocument.of(rule, preview(rule, anchor, query.after or now, query.count))


@router.get("/schedules/{name}/preview", summary="When it comes next")
def foresee_one(
    desk: AtDesk, caller: Caller, name: Named, query: Annotated[PreviewQuery, Query()]
) -> PreviewDocument:
    """Its next occurrences, whether it is enabled or not, and which of them clash with windows."""
    entry = seen_schedule(desk, caller, name)
    look = Outlooks(desk.control.schedules)
    moments = look.preview(entry, query.count, query.after)
    clashes = look.clashes(entry, moments) if query.after is None else []
    return PreviewDocument.of(entry.document.rule, moments, clashes)
