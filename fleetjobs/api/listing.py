"""Listing: which jobs are meant, and a page of them, for every list of jobs."""

from typing import Literal

from fastapi import Response
from pydantic import Field

from fleetjobs.api.access import Acting
from fleetjobs.api.describing import describe
from fleetjobs.api.desk import Desk
from fleetjobs.api.documents import Page
from fleetjobs.api.job_documents import JobDocument
from fleetjobs.api.parameters import Kinds, Moment, Part, States, Words
from fleetjobs.api.views import View, viewed_page
from fleetjobs.names import JobId, NodeId
from fleetjobs.states import Reason
from fleetjobs.store.jobs import JobFilter, list_jobs
from fleetjobs.store.templates import ids_called


class JobQuery(Part):
    """Which of the org's jobs; all that is given must hold."""

    state: States = Field([], description="any of these; several, or separated by commas")
    agent: str | None = None
    action: str | None = None
    caller: str | None = Field(None, description="an account; `me` is whoever asks")
    creator: str | None = Field(None, description="another word for `caller`")
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


def listed(desk: Desk, caller: Acting, query: JobQuery) -> Page[JobDocument] | Response:
    """The jobs that the caller sees and wants."""
    org = caller.sees or query.org
    account = query.caller or query.creator
    if query.org not in {None, org}:
        return Page(items=[], next=None)
    wanted = JobFilter(
        org=org,
        states=query.state,
        agent=query.agent,
        action=query.action,
        caller=caller.name if account == "me" else account,
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
