"""Plans: hand one in, try one out, look at its legs."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from msgspec import Struct
from starlette.concurrency import run_in_threadpool

from fleetjobs.api.access import Caller, Operator, clean_query
from fleetjobs.api.bodies import JOSE, JSON, decode_body, media_type, own, read_body, sealed_body
from fleetjobs.api.describing import warned
from fleetjobs.api.desk import AtDesk, Desk, find_job
from fleetjobs.api.documents import Page
from fleetjobs.api.job_documents import JobDocument
from fleetjobs.api.legs import LegDocument, PlanCheck, checked
from fleetjobs.api.parameters import InJob, OnTerms, Part, Terms
from fleetjobs.api.problems import RESPONSES
from fleetjobs.api.requests import name_of, take_sealed_plan
from fleetjobs.api.waiting import answer
from fleetjobs.control.submissions import Submission
from fleetjobs.documents import Id, Moment, encode
from fleetjobs.errors import NotFound
from fleetjobs.jobs import Kind
from fleetjobs.plans.documents import Plan, PlanRequest
from fleetjobs.store.access import Account
from fleetjobs.store.followers import children_of
from fleetjobs.store.plans import keys_of, list_legs

router = APIRouter(tags=["plans"], responses=RESPONSES, dependencies=[Depends(clean_query)])


class PlanWish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A plan of a caller without a key of their own; the server signs it."""

    plan: Plan
    id: Id | None = None
    not_before: Moment | None = None
    start_before: Moment | None = None


_BODY = sealed_body(
    PlanWish,
    "A plan request signed by the account's key (JWS compact), "
    "or a plain one, which the server signs.",
)
_LOCATION = {"Location": {"description": "the plan", "schema": {"type": "string"}}}


@router.post(
    "/plans",
    summary="Hand a plan in",
    status_code=HTTPStatus.ACCEPTED,
    openapi_extra=_BODY,
    responses={
        200: {"model": JobDocument, "description": "It existed, or ended while we waited."},
        202: {"description": "Accepted: it is in the database.", "headers": _LOCATION},
    },
)
async def submit(
    request: Request, response: Response, desk: AtDesk, caller: Operator, terms: OnTerms
) -> JobDocument:
    """Ask for legs that depend on one another: all are accepted, or none and one is named.

    The plan is a job, and so is each of its legs. The same id or Idempotency-Key again is the
    same plan.
    """
    raw = await read_body(request, kinds={JOSE, JSON})
    signed = media_type(request) == JOSE
    submission, document = await run_in_threadpool(_submit, desk, caller, raw, terms, signed=signed)
    return await answer(desk, response, submission, document, terms)


def _submit(
    desk: Desk, caller: Account, raw: bytes, terms: Terms, *, signed: bool
) -> tuple[Submission, JobDocument]:
    if signed:
        request, sealed = take_sealed_plan(raw, account=caller)
    else:
        request = _request(desk, caller, raw, terms)
        sealed = desk.key.seal(encode(request))
    submission = desk.control.plans.submit(
        sealed, request, org=caller.org, seal=lambda leg: desk.key.seal(encode(leg))
    )
    return submission, warned(desk, submission)


def _request(desk: Desk, caller: Account, raw: bytes, terms: Terms) -> PlanRequest:
    wish = decode_body(PlanWish, own(raw, caller.org))
    return PlanRequest(
        id=name_of(wish.id, terms.idempotency_key, caller),
        org=caller.org,
        caller=caller.name,
        plan=wish.plan,
        created_at=desk.clock(),
        not_before=wish.not_before,
        start_before=wish.start_before,
    )


@router.post("/plans/check", summary="Try a plan out", openapi_extra=_BODY)
async def check(request: Request, desk: AtDesk, caller: Caller, terms: OnTerms) -> PlanCheck:
    """What the plan would be, leg by leg and node by node; nothing is kept, and nothing runs."""
    raw = await read_body(request, kinds={JOSE, JSON})
    signed = media_type(request) == JOSE

    def look() -> PlanCheck:
        if signed:
            wanted, _ = take_sealed_plan(raw, account=caller)
        else:
            wanted = _request(desk, caller, raw, terms)
        draft, warnings = desk.control.plans.check(wanted, org=caller.org)
        return PlanCheck(legs=checked(draft), warnings=warnings)

    return await run_in_threadpool(look)


@router.get("/jobs/{job}/legs", summary="Legs of a plan, or what follows a job")
def legs(
    desk: AtDesk, caller: Caller, job: InJob, query: Annotated[Part, Query()]
) -> Page[LegDocument]:
    """All groups and legs of a plan, or those directly in a group, in their order.

    Of another job, the jobs that its action asked for; where nothing is, there is no such list.
    """
    with desk.database.reading() as connection:
        found = find_job(connection, job, org=caller.sees)
        if found.kind is Kind.ACTION and not children_of(connection, found, limit=1):
            raise NotFound(f"{job} is no plan; it has runs")
        page = list_legs(connection, found, cursor=query.cursor, limit=query.size)
        above = {leg.parent for leg in page.items if leg.parent not in {None, leg.origin}}
        keys = keys_of(connection, above)
    items = [LegDocument.of(leg, group=keys.get(leg.parent or leg.id)) for leg in page.items]
    return Page(items=items, next=page.next)
