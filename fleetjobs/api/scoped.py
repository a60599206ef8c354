"""Scoped: the jobs of one node, or of one schedule."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response

from fleetjobs.api.access import Caller, clean_query
from fleetjobs.api.desk import AtDesk
from fleetjobs.api.documents import JobDocument, Page
from fleetjobs.api.jobs import JobQuery, listed
from fleetjobs.api.parameters import OnNode
from fleetjobs.api.problems import RESPONSES
from fleetjobs.api.views import ViewedJob
from fleetjobs.errors import NotFound
from fleetjobs.store.nodes import get_node
from fleetjobs.store.schedules import get_entry

router = APIRouter(tags=["jobs"], responses=RESPONSES, dependencies=[Depends(clean_query)])


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
