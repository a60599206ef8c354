"""Runs: a job on each of its nodes, and the attempts there."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import Field
from sqlalchemy import Connection

from fleetjobs.api.access import Caller, clean_query
from fleetjobs.api.desk import AtDesk, find_job
from fleetjobs.api.documents import Page
from fleetjobs.api.parameters import InJob, OfRun, Part, RunKey, States
from fleetjobs.api.problems import RESPONSES
from fleetjobs.api.run_documents import AttemptDocument, RunDocument
from fleetjobs.errors import NotFound
from fleetjobs.jobs import Run
from fleetjobs.store.attempts import list_attempts
from fleetjobs.store.runs import get_run, list_runs

router = APIRouter(tags=["runs"], responses=RESPONSES, dependencies=[Depends(clean_query)])


class RunQuery(Part):
    """Which of a job's runs."""

    state: States = Field([], description="any of these; several, or separated by commas")


@router.get("/jobs/{job}/runs", summary="Runs of a job")
def index(
    desk: AtDesk, caller: Caller, job: InJob, query: Annotated[RunQuery, Query()]
) -> Page[RunDocument]:
    """The job's runs, by node."""
    with desk.database.reading() as connection:
        find_job(connection, job, org=caller.sees)
        page = list_runs(connection, job, states=query.state, cursor=query.cursor, limit=query.size)
    return Page(items=[RunDocument.of(run) for run in page.items], next=page.next)


@router.get("/jobs/{job}/runs/{node}", summary="One run")  # noqa: FAST003  OfRun reads both
def show(desk: AtDesk, caller: Caller, key: OfRun) -> RunDocument:
    """How the job stands on that node."""
    with desk.database.reading() as connection:
        return RunDocument.of(find_run(connection, key, org=caller.sees))


@router.get(
    "/jobs/{job}/runs/{node}/attempts",  # noqa: FAST003  OfRun reads both
    summary="Attempts of a run",
)
def attempts(desk: AtDesk, caller: Caller, key: OfRun) -> Page[AttemptDocument]:
    """Every attempt that is over, the first one first; a late one came after it was given up."""
    with desk.database.reading() as connection:
        run = find_run(connection, key, org=caller.sees)
        found = list_attempts(connection, run.job, run.node)
    return Page(items=[AttemptDocument.of(attempt) for attempt in found], next=None)


def find_run(connection: Connection, key: RunKey, *, org: str | None) -> Run:
    """The org's run. Raises NotFound, for another org's too."""
    find_job(connection, key.job, org=org)
    run = get_run(connection, key.job, key.node)
    if run is None:
        raise NotFound(f"job {key.job} has no run on {key.node}")
    return run
