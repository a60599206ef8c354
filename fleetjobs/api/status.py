"""Status: how the fleet is, for people; whether the server works, for machines."""

import os
import socket
from collections import Counter
from datetime import datetime, timedelta
from enum import StrEnum
from http import HTTPStatus

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, Field

from fleetjobs import __version__
from fleetjobs.api.access import Caller, clean_query
from fleetjobs.api.coordinator import CoordinatorDocument, Works
from fleetjobs.api.desk import AtDesk
from fleetjobs.api.pauses import PauseDocument
from fleetjobs.api.problems import RESPONSES
from fleetjobs.api.warnings import WarningDocument, find_warnings
from fleetjobs.errors import DatabaseAway
from fleetjobs.nodes import is_alive, is_builtin
from fleetjobs.states import State
from fleetjobs.store.counts import count_jobs, count_undelivered
from fleetjobs.store.nodes import list_nodes

LATE = timedelta(seconds=10)  #: a run that is due for longer has nobody who hands it over

router = APIRouter(tags=["status"], responses=RESPONSES, dependencies=[Depends(clean_query)])
probes = APIRouter(tags=["status"])


class Health(StrEnum):
    """Whether all works."""

    OK = "ok"
    DEGRADED = "degraded"  # no coordinator leads, or jobs do not reach the broker
    PAUSED = "paused"  # jobs are accepted and not handed over, because a person said so
    STOPPED = "stopped"  # the coordinators were told to end


class NodeCounts(BaseModel):
    """How many nodes there are."""

    alive: int
    silent: int = Field(description="not heard of lately")
    versions: dict[str, int] = Field(description="on how many nodes each fleetjobs version is")


class StatusDocument(BaseModel):
    """How the org's fleet is."""

    state: Health
    at: datetime
    version: str = Field(description="of the server")
    hostname: str = Field(description="of the server")
    pid: int = Field(description="of the server")
    jobs: dict[State, int] = Field(description="how many jobs are in which state")
    scheduled: int = Field(description="jobs that wait for their time")
    waiting: int = Field(description="jobs that wait for something else, or for their nodes")
    spooled: int = Field(description="jobs that lie with their nodes and have not begun")
    running: int = Field(description="jobs at work, and those that are being cancelled")
    paused: int = Field(description="jobs that a person holds or has to decide")
    finished: int = Field(description="jobs that succeeded")
    failed: int = Field(description="jobs that failed or expired")
    attention: int = Field(description="how many jobs wait for a person to decide")
    undelivered: int = Field(description="runs that the broker should have had a while ago")
    nodes: NodeCounts
    versions: dict[str, int] = Field(
        description="on how many machines each fleetjobs version is, the server's own counted"
    )
    coordinator: CoordinatorDocument
    pauses: list[PauseDocument] = Field(description="what begins nothing")
    warnings: list[WarningDocument] = Field(description="what is wrong with nodes that live")


class Probe(BaseModel):
    """A short answer for a machine."""

    status: str


@router.get("/status", summary="How the fleet is")
def status(desk: AtDesk, caller: Caller) -> StatusDocument:
    """Counts of the org's jobs and nodes, and the versions at work."""
    now = desk.clock()
    with desk.database.reading() as connection:
        counts = count_jobs(connection, caller.org)
        undelivered = count_undelivered(connection, caller.org, now - LATE)
        nodes = list_nodes(connection, caller.org, with_facts=False)
        warnings = find_warnings(connection, nodes, caller.org, now)
    nodes = [node for node in nodes if not is_builtin(node.identity)]
    alive = sum(is_alive(node, now) for node in nodes)
    versions = Counter(node.software for node in nodes if node.software is not None)
    coordinator = CoordinatorDocument.of(desk.control.relay.standing())
    return StatusDocument(
        state=_health(coordinator, undelivered),
        at=now,
        version=__version__,
        hostname=socket.gethostname(),
        pid=os.getpid(),
        jobs={state: counts.states[state] for state in State},
        scheduled=counts.states[State.SCHEDULED],
        waiting=counts.states[State.WAITING],
        spooled=counts.states[State.QUEUED],
        running=counts.states[State.RUNNING] + counts.states[State.CANCELLING],
        paused=counts.states[State.PAUSED],
        finished=counts.states[State.SUCCEEDED],
        failed=counts.states[State.FAILED] + counts.states[State.EXPIRED],
        attention=counts.attention,
        undelivered=undelivered,
        nodes=NodeCounts(alive=alive, silent=len(nodes) - alive, versions=dict(versions)),
        versions=dict(versions + Counter([__version__])),
        coordinator=coordinator,
        pauses=[PauseDocument.of(each) for each in desk.control.pauses.list(org=caller.org)],
        warnings=[warning for theirs in warnings.values() for warning in theirs],
    )


def _health(coordinator: CoordinatorDocument, undelivered: int) -> Health:
    if coordinator.state is Works.STOPPED:
        return Health.STOPPED
    if coordinator.state is Works.PAUSED:
        return Health.PAUSED
    away = coordinator.state is Works.AWAY
    return Health.DEGRADED if away or undelivered else Health.OK


@probes.get("/healthz", summary="Whether the server lives")
async def healthz() -> Probe:
    """It does, if it answers."""
    return Probe(status="ok")


@probes.get(
    "/readyz",
    summary="Whether the server can serve",
    responses={503: {"model": Probe, "description": "The database does not answer."}},
)
def readyz(desk: AtDesk, response: Response) -> Probe:
    """Whether its database answers."""
    try:
        with desk.database.reading() as connection:
            connection.exec_driver_sql("SELECT 1")
    except DatabaseAway:
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
        return Probe(status="database away")
    return Probe(status="ok")
