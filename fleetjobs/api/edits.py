"""Edits: change what was asked for before it begins."""

import re
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Header, Request, Response
from msgspec import UNSET, Struct, UnsetType
from starlette.concurrency import run_in_threadpool

from fleetjobs.api.access import Caller, Operator, clean_query
from fleetjobs.api.bodies import JOSE, JSON, decode_body, media_type, read_body, sealed_body
from fleetjobs.api.describing import document_of, tag
from fleetjobs.api.desk import AtDesk, Desk
from fleetjobs.api.faults import InvalidParameter, Unconditional
from fleetjobs.api.job_documents import JobDocument
from fleetjobs.api.parameters import InJob
from fleetjobs.api.problems import CHANGES, RESPONSES
from fleetjobs.api.requests import Sealed, StartBefore, read_start_before, take_sealed
from fleetjobs.documents import Moment, Priority, Splay, encode
from fleetjobs.errors import Denied, InvalidDocument
from fleetjobs.jobs import Job
from fleetjobs.names import JobId
from fleetjobs.requests import After
from fleetjobs.store.access import Account
from fleetjobs.targets import Target

router = APIRouter(
    tags=["jobs"], responses=RESPONSES | CHANGES, dependencies=[Depends(clean_query)]
)

_TAG = re.compile(r'\A(?:W/)?"?(\d{1,9})"?\Z')


class Change(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be otherwise; the rest stays. The server signs it."""

    data: dict[str, Any] | UnsetType = UNSET  # these inputs; null takes one out
    target: Target | UnsetType = UNSET
    not_before: Moment | UnsetType | None = UNSET
    start_before: StartBefore | UnsetType = UNSET
    after: tuple[After, ...] | UnsetType = UNSET
    retries: Annotated[int, msgspec.Meta(ge=0, le=100)] | UnsetType | None = UNSET
    priority: Priority | UnsetType = UNSET
    splay_s: Splay | UnsetType = UNSET


_BODY = sealed_body(
    Change,
    "What changes; or the whole request anew, with its id, signed by the account's key "
    "(JWS compact).",
)


def read_version(if_match: str | None) -> int | None:
    """The version that an If-Match names, if there is one. Raises InvalidParameter."""
    if if_match is None:
        return None
    found = _TAG.match(if_match.strip())
    if not found:
        raise InvalidParameter(f"{if_match[:60]!r} is no ETag of ours", field="If-Match")
    return int(found[1])


async def _version(
    if_match: Annotated[
        str | None, Header(description="the ETag of the job as it was seen")
    ] = None,
) -> int:
    """The version that is to be changed. Raises Unconditional, InvalidParameter."""
    version = read_version(if_match)
    if version is None:
        raise Unconditional("say which version is to be changed: `If-Match` with the job's ETag")
    return version


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """A change, by whom, of which version."""

    desk: Desk
    caller: Account
    job: JobId
    version: int

    def make(self, raw: bytes, *, signed: bool) -> tuple[Job, JobDocument]:
        """Make it; the job then."""
        sealed = self._signed(raw) if signed else self._sealed(decode_body(Change, raw))
        changed = self.desk.control.edits.edit(
            sealed.text,
            sealed.request,
            org=self.caller.org,
            account=self.caller.name,
            version=self.version,
        )
        return changed, document_of(self.desk, changed)

    def _signed(self, raw: bytes) -> Sealed:
        sealed = take_sealed(raw, account=self.caller, idempotency_key=None)
        if sealed.request.id != self.job:
            raise InvalidDocument(f"the request is {sealed.request.id}, the job {self.job}")
        return sealed

    def _sealed(self, change: Change) -> Sealed:
        asked = self.desk.control.edits.request(self.job, org=self.caller.org)
        names = ("target", "not_before", "after", "retries", "priority", "splay_s")
        fields = {name: getattr(change, name) for name in names}
        fields = {name: value for name, value in fields.items() if value is not UNSET}
        if change.data is not UNSET:
            merged = {**asked.data, **change.data}
            fields["data"] = {name: value for name, value in merged.items() if value is not None}
        if change.start_before is not UNSET:
            fields |= read_start_before(change.start_before)
        now = self.desk.clock()
        request = msgspec.structs.replace(asked, **fields, caller=self.caller.name, created_at=now)
        return Sealed(request, self.desk.key.seal(encode(request)))


@router.patch("/jobs/{job}", summary="Change a job that has not begun", openapi_extra=_BODY)
async def change(
    request: Request,
    response: Response,
    desk: AtDesk,
    caller: Operator,
    job: InJob,
    version: Annotated[int, Depends(_version)],
) -> JobDocument:
    """Change inputs, times, target, or what it waits for.

    What a node has already is changed when the node gives it back unstarted: until then `pending`
    tells so. If it began meanwhile, it stays as it was, and an event `…edit_too_late` says so.
    """
    raw = await read_body(request, kinds={JOSE, JSON})
    edit = Edit(desk=desk, caller=caller, job=job, version=version)
    signed = media_type(request) == JOSE
    changed, document = await run_in_threadpool(edit.make, raw, signed=signed)
    tag(response, changed)
    return document


@router.get(
    "/jobs/{job}/request",
    summary="The request as it was signed",
    response_class=Response,
    responses={200: {"content": {JOSE: {"schema": {"type": "string"}}}}},
)
def request_of(desk: AtDesk, caller: Caller, job: InJob) -> Response:
    """For its caller alone: secret inputs are in it."""
    found = desk.job(job, org=caller.org)
    if found.caller != caller.name:
        raise Denied(f"the request is shown to {found.caller} alone")
    return Response(found.sealed, media_type=JOSE)
