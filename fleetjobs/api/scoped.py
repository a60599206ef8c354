"""Scoped: one's own jobs, and those of an org, a template, a schedule, or a node."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response

from fleetjobs.api.access import Caller, clean_query
from fleetjobs.api.desk import AtDesk
from fleetjobs.api.documents import Page
from fleetjobs.api.job_documents import JobDocument
from fleetjobs.api.listing import JobQuery, listed
from fleetjobs.api.parameters import OnNode
from fleetjobs.api.problems import RESPONSES
from fleetjobs.api.views import ViewedJob
from fleetjobs.errors import NotFound
from fleetjobs.store.access import has_org
from fleetjobs.store.nodes import get_node
from fleetjobs.store.schedules import get_entry
from fleetjobs.store.templates import get_template

router = APIRouter(tags=["jobs"], responses=RESPONSES, dependencies=[Depends(clean_query)])


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


@router.get(
    "/templates/{name}/jobs",
    summary="List the jobs of a template",
    response_model=Page[JobDocument] | Page[ViewedJob],
)
def of_template(
    desk: AtDesk,
    caller: Caller,
    name: Annotated[str, Path(max_length=128, description="a template's label, or its id")],
    query: Annotated[JobQuery, Query()],
) -> Page[JobDocument] | Response:
    """As `/jobs?template=`; by its label, or by its id even after it was deleted."""
    with desk.database.reading() as connection:
        template = get_template(connection, name, org=caller.org)
    return listed(desk, caller, query.model_copy(update={"template": template.id}))


@router.get(
    "/schedules/{name}/jobs",
    summary="List the jobs of a schedule",
    response_model=Page[JobDocument] | Page[ViewedJob],
)
def of_schedule(
    desk: AtDesk,
    caller: Caller,
    name: Annotated[str, Path(max_length=128, description="a schedule's label, or its id")],
    query: Annotated[JobQuery, Query()],
) -> Page[JobDocument] | Response:
    """As `/jobs?schedule=`; by its label, or by its id even after it was deleted."""
    with desk.database.reading() as connection:
        entry = get_entry(connection, name, org=caller.org)
    return listed(desk, caller, query.model_copy(update={"schedule": entry.id}))


@router.get(
    "/nodes/{node}/jobs",
    summary="List the jobs of a node",
    response_model=Page[JobDocument] | Page[ViewedJob],
)
def of_node(
    desk: AtDesk, caller: Caller, node: OnNode, query: Annotated[JobQuery, Query()]
) -> Page[JobDocument] | Response:
    """Those that have a run there: as `/jobs?node=`."""
    with desk.database.reading() as connection:
        if get_node(connection, node, org=caller.sees) is None:
            raise NotFound(f"there is no node {node}")
    return listed(desk, caller, query.model_copy(update={"node": node}))
