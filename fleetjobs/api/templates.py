"""Templates: plans under a name; made, changed, tried out, run; many at once."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from fleetjobs.access import Role
from fleetjobs.api.access import Acting, Caller, Editor, Operator, clean_query
from fleetjobs.api.bodies import JSON, decode_body, json_body, read_body
from fleetjobs.api.describing import warned
from fleetjobs.api.desk import AtDesk, Desk
from fleetjobs.api.documents import Page
from fleetjobs.api.edits import read_version
from fleetjobs.api.job_documents import JobDocument
from fleetjobs.api.parameters import OnTerms, Parameters, Part, Terms
from fleetjobs.api.problems import CHANGES, FULL, RESPONSES
from fleetjobs.api.requests import name_of
from fleetjobs.api.template_documents import (
    AppliedDocument,
    AppliedFiles,
    TemplateCheck,
    TemplateDocument,
    TemplateText,
    VersionDocument,
)
from fleetjobs.api.waiting import answer
from fleetjobs.control.authoring import Author
from fleetjobs.control.submissions import Submission
from fleetjobs.control.works import Start
from fleetjobs.documents import encode
from fleetjobs.names import JobId
from fleetjobs.plans.documents import PlanRequest
from fleetjobs.requests import Request as SignedRequest
from fleetjobs.schedules.documents import TemplateCall
from fleetjobs.store.access import Account
from fleetjobs.store.templates import (
    Template,
    get_template,
    get_version,
    list_templates,
    list_versions,
)
from fleetjobs.templates.documents import Files, Level, NewTemplate, NewText, Run, Trial
from fleetjobs.templates.reading import read_template

router = APIRouter(
    tags=["templates"], responses=RESPONSES | CHANGES, dependencies=[Depends(clean_query)]
)
Named = Annotated[str, Path(max_length=128, description="a template's label, or its id")]
_MANY_BYTES = 32 * 1024 * 1024  #: of files that are applied together
_LOCATION = {"Location": {"description": "the job", "schema": {"type": "string"}}}


class ListQuery(Part):
    """Which templates."""

    ended: bool = Field(default=False, description="deleted ones, too")


class TextQuery(Parameters):
    """Which version."""

    version: int | None = Field(None, ge=1, le=2**31 - 1, description="by default the newest")


class VersionsQuery(Parameters):
    """Which versions."""

    before: int | None = Field(None, ge=1, le=2**31 - 1, description="`next` of the page before")
    limit: int = Field(100, ge=1, le=500)


def author_of(desk: Desk, caller: Acting) -> Author:
    """The account as one who writes templates."""
    return Author(
        org=caller.org,
        account=caller.name,
        of_fleet=caller.role is Role.FLEET_ADMIN,
        address=caller.address,
        rights=desk.control.acceptance.rights,
    )


@router.post(
    "/templates",
    summary="Make a template",
    status_code=HTTPStatus.CREATED,
    openapi_extra=json_body(NewTemplate),
)
async def create(
    request: Request, response: Response, desk: AtDesk, caller: Editor
) -> TemplateText:
    """A plan or a single action in YAML; its label is unique in the org, or in the fleet."""
    wish = decode_body(NewTemplate, await read_body(request, kinds={JSON}))
    template = await run_in_threadpool(
        desk.control.templates.create,
        wish.text,
        author_of(desk, caller),
        label=wish.label,
        is_fleet=wish.level is Level.FLEET,
    )
    response.headers["Location"] = f"/api/v1/templates/{template.id}"
    return await run_in_threadpool(_told, desk, response, template)


@router.get("/templates", summary="List templates")
def index(
    desk: AtDesk, caller: Caller, query: Annotated[ListQuery, Query()]
) -> Page[TemplateDocument]:
    """The org's and the fleet's, the newest first."""
    with desk.database.reading() as connection:
        page = list_templates(
            connection, org=caller.org, cursor=query.cursor, limit=query.size, ended=query.ended
        )
    return Page(items=[TemplateDocument.of(item) for item in page.items], next=page.next)


@router.post(
    "/templates/apply", summary="Take many templates at once", openapi_extra=json_body(Files)
)
async def apply(request: Request, desk: AtDesk, caller: Editor) -> AppliedFiles:
    """All of them or none; the same again changes nothing. With `dry_run` nothing is kept."""
    raw = await read_body(request, kinds={JSON}, limit=_MANY_BYTES)
    files = decode_body(Files, raw)
    found = await run_in_threadpool(desk.control.applying.apply, files, author_of(desk, caller))
    return AppliedFiles(dry_run=files.dry_run, items=[AppliedDocument.of(one) for one in found])


@router.post("/templates/validate", summary="Try a text out", openapi_extra=json_body(Trial))
async def try_out(request: Request, desk: AtDesk, caller: Caller) -> TemplateCheck:
    """What it would come to if it were a template; nothing is kept, and nothing runs."""
    trial = decode_body(Trial, await read_body(request, kinds={JSON}))
    found, warnings = await run_in_threadpool(
        desk.control.templates.try_out, trial, org=caller.org, account=caller.name
    )
    return TemplateCheck.of(found, warnings)


@router.get("/templates/{name}", summary="One template")
def show(
    desk: AtDesk,
    caller: Caller,
    name: Named,
    response: Response,
    query: Annotated[TextQuery, Query()],
) -> TemplateText:
    """By its label, or by its id even after it was deleted; the org's own goes first."""
    template = _template(desk, name, caller.org)
    return _told(desk, response, template, query.version)


@router.put("/templates/{name}", summary="Change a template", openapi_extra=json_body(NewText))
async def change(
    request: Request,
    response: Response,
    desk: AtDesk,
    caller: Editor,
    name: Named,
    if_match: Annotated[str | None, Header(description="the ETag that was seen")] = None,
) -> TemplateText:
    """Its next version, unless it reads so already; jobs and earlier versions stay."""
    wish = decode_body(NewText, await read_body(request, kinds={JSON}))
    template = await run_in_threadpool(
        desk.control.templates.change,
        name,
        wish.text,
        author_of(desk, caller),
        version=read_version(if_match),
    )
    return await run_in_threadpool(_told, desk, response, template)


@router.delete("/templates/{name}", summary="Delete a template")
def delete(desk: AtDesk, caller: Editor, name: Named) -> TemplateDocument:
    """Nobody runs it any more; its versions and its jobs stay. Its label is free."""
    return TemplateDocument.of(desk.control.templates.delete(name, author_of(desk, caller)))


@router.get("/templates/{name}/versions", summary="All versions of a template")
def versions(
    desk: AtDesk, caller: Caller, name: Named, query: Annotated[VersionsQuery, Query()]
) -> Page[VersionDocument]:
    """Each as it was written, the newest first."""
    template = _template(desk, name, caller.org)
    with desk.database.reading() as connection:
        found = list_versions(connection, template.id, before=query.before, limit=query.limit + 1)
    items = [VersionDocument.of(version) for version in found[: query.limit]]
    more = len(found) > query.limit
    return Page(items=items, next=str(items[-1].number) if more else None)


@router.post(
    "/templates/{name}/validate",
    summary="Try a template out",
    openapi_extra=json_body(Run, required=False),
)
async def validate(request: Request, desk: AtDesk, caller: Caller, name: Named) -> TemplateCheck:
    """What running it would come to, node by node; nothing is kept, and nothing runs."""
    call, _ = _call(name, await _read_run(request))
    found, warnings = await run_in_threadpool(
        desk.control.templates.check, call, org=caller.org, account=caller.name
    )
    return TemplateCheck.of(found, warnings)


@router.post(
    "/templates/{name}/run",
    summary="Run a template once",
    status_code=HTTPStatus.ACCEPTED,
    openapi_extra=json_body(Run, required=False),
    responses={
        200: {"model": JobDocument, "description": "It existed, or ended while we waited."},
        202: {"description": "Accepted: it is in the database.", "headers": _LOCATION},
        **FULL,
    },
)
async def run(
    request: Request,
    response: Response,
    desk: AtDesk,
    caller: Operator,
    name: Named,
    terms: OnTerms,
) -> JobDocument:
    """One job, now or later, which remembers template and version. See Idempotency-Key."""
    wish = await _read_run(request)
    submission, document = await run_in_threadpool(_run, desk, caller, name, wish, terms)
    return await answer(desk, response, submission, document, terms)


async def _read_run(request: Request) -> Run:
    raw = await read_body(request, kinds={JSON}) if "content-type" in request.headers else b"{}"
    return decode_body(Run, raw)


def _call(name: str, wish: Run) -> tuple[TemplateCall, Start]:
    call = TemplateCall(name=name, version=wish.version, params=wish.params, target=wish.target)
    start = Start(
        not_before=wish.not_before, start_before=wish.start_before, priority=wish.priority
    )
    return call, start


def _run(
    desk: Desk, caller: Account, name: str, wish: Run, terms: Terms
) -> tuple[Submission, JobDocument]:
    def seal(request: SignedRequest | PlanRequest) -> str:
        return desk.key.seal(encode(request))

    call, start = _call(name, wish)
    submission = desk.control.templates.run(
        call,
        start,
        org=caller.org,
        account=caller.name,
        id=JobId(name_of(wish.id, terms.idempotency_key, caller)),
        seal=seal,
    )
    return submission, warned(desk, submission)


def _template(desk: Desk, name: str, org: str) -> Template:
    with desk.database.reading() as connection:
        return get_template(connection, name, org=org)


def _told(
    desk: Desk, response: Response, template: Template, number: int | None = None
) -> TemplateText:
    with desk.database.reading() as connection:
        version = get_version(connection, template, number)
    response.headers["ETag"] = f'"{template.version}"'
    written = read_template(version.text, template.label, template.label)
    return TemplateText.of_version(template, version, written)
