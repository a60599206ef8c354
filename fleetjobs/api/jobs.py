"""Jobs: submit them, list them, look at one, wait for its end."""

from collections.abc import AsyncIterator
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from fleetjobs.api.access import Acting, Caller, Operator, clean_query
from fleetjobs.api.admission import Admission
from fleetjobs.api.bodies import JOSE, JSON, media_type, read_body, sealed_body
from fleetjobs.api.describing import describe_new, describe_one, document_of, tag
from fleetjobs.api.desk import AtDesk, Desk, find_job
from fleetjobs.api.documents import Page
from fleetjobs.api.job_documents import JobDocument
from fleetjobs.api.listing import JobQuery, listed
from fleetjobs.api.parameters import (
    WAIT_MAX_S,
    InJob,
    OnTerms,
    Parameters,
    Terms,
)
from fleetjobs.api.problems import FULL, RESPONSES
from fleetjobs.api.requests import Sealed, Wish, seal_wish, take_sealed
from fleetjobs.api.streams import EVENT_STREAM, Only, Stream, stream_of
from fleetjobs.api.views import View, ViewedJob, viewed
from fleetjobs.api.waiting import answer, ended
from fleetjobs.control.submissions import Submission
from fleetjobs.names import JobId
from fleetjobs.store.access import Account

router = APIRouter(tags=["jobs"], responses=RESPONSES, dependencies=[Depends(clean_query)])

_BODY = sealed_body(
    Wish,
    "A request signed by the account's key (JWS compact), or a plain one, which the server signs.",
)
_LOCATION = {"Location": {"description": "the job", "schema": {"type": "string"}}}


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


async def _stream(desk: Desk, caller: Acting, sealed: Sealed, only: Only) -> Response:
    """The job and then its events; a refusal is raised before anything is answered."""

    def accept() -> tuple[JobDocument, bool]:
        submission, document = _submit(desk, caller, sealed)
        return document, submission.created

    stream = Stream(
        desk=desk,
        admission=Admission(desk, caller),
        job=JobId(sealed.request.id),
        org=caller.org,
        only=only,
    )
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
