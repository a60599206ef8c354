"""Audit: who changed what, who was refused, and whether the record of it is whole."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from fleetjobs.api.access import Admin, FleetAdmin, clean_query
from fleetjobs.api.account_documents import RecordDocument, VerdictDocument
from fleetjobs.api.desk import AtDesk
from fleetjobs.api.documents import Page
from fleetjobs.api.parameters import PAGE, PAGE_MAX, SEQ_MAX, Moment, Parameters, Words
from fleetjobs.api.problems import RESPONSES
from fleetjobs.store.audit import AuditFilter, list_records, verify

router = APIRouter(tags=["audit"], responses=RESPONSES, dependencies=[Depends(clean_query)])


class AuditQuery(Parameters):
    """Which rows; all that is given must hold."""

    actor: str | None = Field(None, description="an account")
    kind: Words = Field([], description="such as `account.changed`, or `account.` for all of them")
    subject: str | None = Field(None, description="what it is about")
    org: str | None = Field(None, description="whose thing it is")
    since: Moment | None = Field(None, description="at that time or later")
    until: Moment | None = Field(None, description="before that time")
    cursor: int | None = Field(None, ge=1, le=SEQ_MAX, description="`next` of the page before")
    limit: int = Field(PAGE, ge=1, le=PAGE_MAX)


class VerifyQuery(Parameters):
    """What was noted elsewhere."""

    head: str | None = Field(None, max_length=64, description="the hash of a row, noted before")


@router.get("/audit", summary="Who changed what")
def index(
    desk: AtDesk, caller: Admin, query: Annotated[AuditQuery, Query()]
) -> Page[RecordDocument]:
    """The latest first: what concerns the org; a fleet admin sees everything."""
    org = caller.sees or query.org
    if query.org not in {None, org}:
        return Page(items=[], next=None)
    wanted = AuditFilter(
        org=org,
        actor=query.actor,
        kinds=query.kind,
        subject=query.subject,
        since=query.since,
        until=query.until,
    )
    with desk.database.reading() as connection:
        found = list_records(connection, wanted, before=query.cursor, limit=query.limit)
    more = str(found[-1].seq) if len(found) == query.limit else None
    return Page(items=[RecordDocument.of(record) for record in found], next=more)


@router.get("/audit/verify", summary="Whether the audit is whole")
def check(
    desk: AtDesk,
    caller: FleetAdmin,  # noqa: ARG001  only they may ask
    query: Annotated[VerifyQuery, Query()],
) -> VerdictDocument:
    """Whether any row was changed or taken out, and whether one that was noted is still there."""
    with desk.database.reading() as connection:
        found = verify(connection, noted=query.head)
    whole = found.broken_at is None and found.has_noted
    return VerdictDocument(
        outcome="whole" if whole else "broken",
        rows=found.rows,
        head=found.head,
        broken_at=found.broken_at,
        has_noted=found.has_noted,
    )
