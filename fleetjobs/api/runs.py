"""Runs: a job on each of its nodes, and what it wrote."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import Field
from sqlalchemy import Connection

from fleetjobs.api.access import Caller, clean_query
from fleetjobs.api.desk import AtDesk, find_job
from fleetjobs.api.documents import Page, RunDocument
from fleetjobs.api.faults import InvalidParameter
from fleetjobs.api.parameters import InJob, OfRun, Parameters, Part, RunKey, States
from fleetjobs.api.problems import RESPONSES
from fleetjobs.errors import NotFound
from fleetjobs.jobs import Run
from fleetjobs.store.logs import Stream, log_size, read_log
from fleetjobs.store.runs import get_run, list_runs

router = APIRouter(tags=["runs"], responses=RESPONSES, dependencies=[Depends(clean_query)])

BYTES = "application/octet-stream"
SIZE_MAX = 2**48  #: no offset is larger
LOG_MAX = 1024 * 1024  #: bytes given at a time
_LOG: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The bytes.",
        "content": {BYTES: {"schema": {"type": "string", "format": "binary"}}},
        "headers": {
            "X-Log-Size": {"description": "bytes the run wrote", "schema": {"type": "integer"}},
            "X-Next-Offset": {"description": "where to go on", "schema": {"type": "integer"}},
        },
    }
}


class RunQuery(Part):
    """Which of a job's runs."""

    state: States = Field([], description="any of these; several, or separated by commas")


class LogQuery(Parameters):
    """Which part of a stream."""

    offset: int | None = Field(None, ge=0, le=SIZE_MAX, description="first byte")
    limit: int = Field(LOG_MAX, ge=0, description=f"bytes; at most {LOG_MAX} are given")
    tail: int | None = Field(
        None, ge=-1, le=SIZE_MAX, description="the last bytes of those kept; -1: all of them"
    )

    def start(self, kept: int) -> int:
        """The first byte of so many kept. Raises InvalidParameter."""
        if self.tail is None:
            return self.offset or 0
        if self.offset is not None:
            raise InvalidParameter("offset and tail exclude each other", field="tail")
        return max(kept - self.tail, 0) if self.tail >= 0 else 0


@router.get("/jobs/{job}/runs", summary="Runs of a job")
def index(
    desk: AtDesk, caller: Caller, job: InJob, query: Annotated[RunQuery, Query()]
) -> Page[RunDocument]:
    """The job's runs, by node."""
    with desk.database.reading() as connection:
        find_job(connection, job, org=caller.org)
        page = list_runs(connection, job, states=query.state, cursor=query.cursor, limit=query.size)
    return Page(items=[RunDocument.of(run) for run in page.items], next=page.next)


@router.get("/jobs/{job}/runs/{node}", summary="One run")  # noqa: FAST003  OfRun reads both
def show(desk: AtDesk, caller: Caller, key: OfRun) -> RunDocument:
    """How the job stands on that node."""
    with desk.database.reading() as connection:
        return RunDocument.of(_find_run(connection, key, org=caller.org))


@router.get(
    "/jobs/{job}/runs/{node}/logs/{stream}",  # noqa: FAST003  OfRun reads both
    summary="What a run wrote",
    response_class=Response,
    responses=_LOG,
)
def log(
    desk: AtDesk,
    caller: Caller,
    key: OfRun,
    stream: Annotated[Stream, Path()],
    query: Annotated[LogQuery, Query()],
) -> Response:
    """The bytes of a stream, exactly as written, from `offset` on or the last `tail` of them."""
    with desk.database.reading() as connection:
        run = _find_run(connection, key, org=caller.org)
        start = query.start(log_size(connection, run.job, run.node, run.attempt, stream))
        content = read_log(
            connection,
            run.job,
            run.node,
            run.attempt,
            stream,
            offset=start,
            limit=min(query.limit, LOG_MAX),
        )
    size = run.stdout_size if stream is Stream.STDOUT else run.stderr_size
    headers = {"X-Log-Size": str(size), "X-Next-Offset": str(start + len(content))}
    return Response(content, media_type=BYTES, headers=headers)


def _find_run(connection: Connection, key: RunKey, *, org: str) -> Run:
    find_job(connection, key.job, org=org)
    run = get_run(connection, key.job, key.node)
    if run is None:
        raise NotFound(f"job {key.job} has no run on {key.node}")
    return run
