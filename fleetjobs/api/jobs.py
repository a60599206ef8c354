"""Jobs: submit them, list them, look at one, wait for its end."""

from collections.abc import AsyncIterator
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from fleetjobs.api.access import Acting, Caller, Operator, clean_query
from fleetjobs.api.bodies import JOSE, JSON, media_type, read_body, schema_of
from fleetjobs.api.describing import describe, describe_new, describe_one, document_of, tag
from fleetjobs.api.desk import AtDesk, Desk, find_job
from fleetjobs.api.documents import JobDocument, Page
from fleetjobs.api.parameters import (
    WAIT_MAX_S,
    InJob,
    Kinds,
    Moment,
    OnTerms,
    Parameters,
    Part,
    States,
    Terms,
    Words,
)
from fleetjobs.api.problems import FULL, RESPONSES
from fleetjobs.api.requests import Sealed, Wish, seal_wish, take_sealed
from fleetjobs.api.streams import EVENT_STREAM, Only, Stream, stream_of
from fleetjobs.api.views import View, ViewedJob, viewed, viewed_page
from fleetjobs.api.waiting import answer, ended
from fleetjobs.control.submissions import Submission
from fleetjobs.errors import NotFound
from fleetjobs.jobs import JobId, NodeId
from fleetjobs.states import Reason
from fleetjobs.store.access import Account, has_org
from fleetjobs.store.jobs import JobFilter, list_jobs
from fleetjobs.store.templates import ids_called

router = APIRouter(tags=["jobs"], responses=RESPONSES, dependencies=[Depends(clean_query)])

_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A request signed by the account's key (JWS compact), "
        "or a plain one, which the server signs.",
        "content": {JSON: {"schema": schema_of(Wish)}, JOSE: {"schema": {"type": "string"}}},
    }
}
_LOCATION = {"Location": {"description": "the job", "schema": {"type": "string"}}}


class JobQuery(Part):
    """Which of the org's jobs; all that is given must hold."""

    state: States = Field([], description="any of these; several, or separated by commas")
    agent: str | None = None
    action: str | None = None
    caller: str | None = Field(None, description="an account; `me` is whoever asks")
    node: str | None = Field(None, description="the job has a run there")
    ids: Words = Field([], description="any of these; several, or separated by commas")
    since: Moment | None = Field(None, description="created at that time or later")
    until: Moment | None = Field(None, description="created before that time")
    attention: bool | None = Field(None, description="whether a person has to decide")
    reason: Reason | None = Field(None, description="why it stands or ended so")
    rerun_of: str | None = Field(None, description="the job that it repeats")
    schedule: str | None = Field(None, description="the id of the schedule that made it")
    org: str | None = Field(None, description="of this org; for who sees more than one")
    template: str | None = Field(None, description="the label, or the id, of its template")
    parent: str | None = Field(None, description="the plan or group that it is directly in")
    plan: str | None = Field(None, description="the plan that it is a part of, at whatever depth")
    kind: Kinds = Field([], description="any of these; several, or separated by commas")
    sort: Literal["created", "-created"] = "-created"
    view: View | None = Field(None, description="tells `state` in the words of others")


class ViewQuery(Parameters):
    """How to tell of a job."""

    view: View | None = Field(None, description="tells `state` in the words of others")


class SubmitQuery(Parameters):
    """What to tell of the job, if the answer is a stream."""

    only: Only = Field(Only.ALL, description="of a stream: which events")


class WaitQuery(Parameters):
    """How long to wait."""

    timeout: float = Field(
        30.0, ge=0, allow_inf_nan=False, description=f"seconds; at most {WAIT_MAX_S} are waited"
    )


@router.post(
    "/jobs",
    summary="Submit a job",
    status_code=HTTPStatus.ACCEPTED,
    openapi_extra=_BODY,
    response_model=JobDocument,
    responses={
        200: {"model": JobDocument, "description": "It existed, or ended while we waited."},
        202: {
            "description": "Accepted: it is in the database. "
            "With `Accept: text/event-stream` the job as `job`, and then its events to the `end`.",
            "headers": _LOCATION,
            "content": {EVENT_STREAM: {"schema": {"type": "string"}}},
        },
        **FULL,
    },
)
async def submit(
    request: Request,
    response: Response,
    desk: AtDesk,
    caller: Operator,
    terms: OnTerms,
    query: Annotated[SubmitQuery, Query()],
) -> Any:
    """Ask for an action on a target. The same id or Idempotency-Key again is the same job.

    As a stream, the answer goes on with the job's events, and is resumed as they are.
    """
    raw = await read_body(request, kinds={JOSE, JSON})
    sealed = _sealed(desk, caller, raw, terms, signed=media_type(request) == JOSE)
    if EVENT_STREAM in request.headers.get("accept", ""):
        return await _stream(desk, caller, sealed, query.only)
    submission, document = await run_in_threadpool(_submit, desk, caller, sealed)
    return await answer(desk, response, submission, document, terms)


async def _stream(desk: Desk, caller: Account, sealed: Sealed, only: Only) -> Response:
    """The job and then its events; a refusal is raised before anything is answered."""

    def accept() -> tuple[JobDocument, bool]:
        submission, document = _submit(desk, caller, sealed)
        return document, submission.created

    stream = Stream(desk=desk, job=JobId(sealed.request.id), org=caller.org, only=only)
    messages = stream.of_new(accept)
    first = await anext(messages)
    response = stream_of(_again(first, messages))
    response.status_code = HTTPStatus.ACCEPTED
    response.headers["Location"] = _place(stream.job)
    return response


async def _again(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for message in rest:
        yield message


def _place(job: JobId) -> str:
    return f"/api/v1/jobs/{job}"


def _sealed(desk: Desk, caller: Account, raw: bytes, terms: Terms, *, signed: bool) -> Sealed:
    if signed:
        return take_sealed(raw, account=caller, idempotency_key=terms.idempotency_key)
    return seal_wish(
        raw,
        account=caller,
        idempotency_key=terms.idempotency_key,
        key=desk.key,
        clock=desk.clock,
    )


def _submit(desk: Desk, caller: Account, sealed: Sealed) -> tuple[Submission, JobDocument]:
    submission = desk.control.submit(sealed.text, sealed.request, org=caller.org)
    job = submission.job
    alone = submission.created and not sealed.request.after
    document = describe_new(job) if alone else document_of(desk, job)
    return submission, document.model_copy(update={"warnings": list(submission.warnings)})


class JobCheck(BaseModel):
    """What a request would come to."""

    nodes: list[str] = Field(description="where it would run")
    not_before: datetime | None
    start_before: datetime | None
    warnings: list[str] = Field(description="what stands in its way")


@router.post("/jobs/check", summary="Try a request out", openapi_extra=_BODY)
async def check(request: Request, desk: AtDesk, caller: Caller, terms: OnTerms) -> JobCheck:
    """Where it would run and what stands in its way; nothing is kept, and nothing runs."""
    raw = await read_body(request, kinds={JOSE, JSON})
    sealed = _sealed(desk, caller, raw, terms, signed=media_type(request) == JOSE)
    look = desk.control.check
    weighed, warnings = await run_in_threadpool(look, sealed.request, org=caller.org)
    return JobCheck(
        nodes=list(weighed.nodes),
        not_before=weighed.job.not_before,
        start_before=weighed.job.start_before,
        warnings=warnings,
    )


@router.get("/jobs", summary="List jobs", response_model=Page[JobDocument] | Page[ViewedJob])
def index(
    desk: AtDesk, caller: Caller, query: Annotated[JobQuery, Query()]
) -> Page[JobDocument] | Response:
    """The org's jobs that pass all filters, the newest first; a fleet admin sees everybody's.

    Legs and groups of plans are only listed with `parent`, `plan`, `kind` or `ids`.
    """
    return listed(desk, caller, query)


@router.get(
    "/me/jobs", summary="List one's own jobs", response_model=Page[JobDocument] | Page[ViewedJob]
)
def mine(
    desk: AtDesk, caller: Caller, query: Annotated[JobQuery, Query()]
) -> Page[JobDocument] | Response:
    """Those that one asked for, also through schedules and actions; otherwise as `/jobs`."""
    return listed(desk, caller, query.model_copy(update={"caller": "me"}))


@router.get(
    "/orgs/{org}/jobs",
    summary="List the jobs of an org",
    response_model=Page[JobDocument] | Page[ViewedJob],
)
def of_org(
    desk: AtDesk,
    caller: Caller,
    org: Annotated[str, Path(max_length=128, description="an org's name")],
    query: Annotated[JobQuery, Query()],
) -> Page[JobDocument] | Response:
    """As `/jobs?org=`; an org that one does not see is not found."""
    with desk.database.reading() as connection:
        if caller.sees not in {None, org} or not has_org(connection, org):
            raise NotFound(f"there is no org {org!r}")
    return listed(desk, caller, query.model_copy(update={"org": org}))


def listed(desk: Desk, caller: Acting, query: JobQuery) -> Page[JobDocument] | Response:
    """The jobs that the caller sees and wants."""
    org = caller.sees or query.org
    if query.org not in {None, org}:
        return Page(items=[], next=None)
    wanted = JobFilter(
        org=org,
        states=query.state,
        agent=query.agent,
        action=query.action,
        caller=caller.name if query.caller == "me" else query.caller,
        node=None if query.node is None else NodeId(query.node),
        ids=[JobId(job) for job in query.ids],
        since=query.since,
        until=query.until,
        attention=query.attention,
        reason=query.reason,
        rerun_of=None if query.rerun_of is None else JobId(query.rerun_of),
        schedule=query.schedule,
        templates=_templates(desk, query.template, caller.org),
        parent=None if query.parent is None else JobId(query.parent),
        plan=None if query.plan is None else JobId(query.plan),
        kinds=query.kind,
        top=not (query.parent or query.plan or query.kind or query.ids),
    )
    with desk.database.reading() as connection:
        page = list_jobs(
            connection,
            wanted,
            cursor=query.cursor,
            limit=query.size,
            descending=query.sort == "-created",
        )
        found = Page(items=describe(connection, page.items), next=page.next)
    return found if query.view is None else viewed_page(found)


def _templates(desk: Desk, name: str | None, org: str) -> list[str] | None:
    """The ids of those that are meant; None: no template has to be."""
    if name is None:
        return None
    with desk.database.reading() as connection:
        return ids_called(connection, name, org=org)


@router.get("/jobs/{job}", summary="One job", response_model=JobDocument | ViewedJob)
def show(
    response: Response,
    desk: AtDesk,
    caller: Caller,
    job: InJob,
    query: Annotated[ViewQuery, Query()],
) -> JobDocument | Response:
    """How the job stands; the ETag is the version that an edit names."""
    with desk.database.reading() as connection:
        found = find_job(connection, job, org=caller.sees)
        tag(response, found)
        document = describe_one(connection, found)
    return document if query.view is None else viewed(document)


@router.get(
    "/jobs/{job}/wait",
    summary="Wait for a job's end",
    responses={202: {"model": JobDocument, "description": "It has not ended in that time."}},
)
async def wait(
    response: Response,
    desk: AtDesk,
    caller: Caller,
    job: InJob,
    query: Annotated[WaitQuery, Query()],
) -> JobDocument:
    """The job once it has ended, or as it stands when the time is over."""
    found = await ended(desk, job, org=caller.sees, within=min(query.timeout, WAIT_MAX_S))
    if not found.state.is_terminal:
        response.status_code = HTTPStatus.ACCEPTED
    tag(response, found)
    return await run_in_threadpool(document_of, desk, found)
