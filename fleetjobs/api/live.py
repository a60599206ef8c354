"""Live: what the nodes of a job have on their disks, asked of them now."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from fleetjobs.access import Verb
from fleetjobs.api.access import Caller, clean_query
from fleetjobs.api.asking import answers
from fleetjobs.api.desk import AtDesk, Desk
from fleetjobs.api.faults import InvalidParameter
from fleetjobs.api.parameters import WAIT_MAX_S, InJob, Parameters, Words
from fleetjobs.api.problems import RESPONSES
from fleetjobs.api.progress import ProgressDocument
from fleetjobs.api.rights import check_job
from fleetjobs.errors import NotFound
from fleetjobs.messages import Answer, RunReport, Stage
from fleetjobs.names import JobId, NodeId
from fleetjobs.nodes import is_alive
from fleetjobs.states import State
from fleetjobs.store.nodes import list_nodes
from fleetjobs.store.runs import nodes_of

router = APIRouter(tags=["runs"], responses=RESPONSES, dependencies=[Depends(clean_query)])

NODES_MAX = 1000  #: nodes that are asked at once


class LiveQuery(Parameters):
    """Whom to ask, and for how long."""

    node: Words = Field([], description="only these nodes; several, or separated by commas")
    timeout: float = Field(
        5.0, ge=0, allow_inf_nan=False, description=f"seconds; at most {WAIT_MAX_S} are waited"
    )


class ReportDocument(BaseModel):
    """An attempt as it lies on a node's disk."""

    job: str
    attempt: int
    generation: int
    action: str = Field(description="agent.action")
    stage: Stage
    state: State | None = Field(description="of an attempt that is over")
    statusmsg: str
    progress: ProgressDocument | None = Field(description="the last that its program told")
    not_before: datetime | None
    accepted_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    stdout_size: int
    stderr_size: int

    @classmethod
    def of(cls, report: RunReport) -> "ReportDocument":
        """The report as a document."""
        names = cls.model_fields.keys() - {"action"}
        found = {name: getattr(report, name) for name in names} | {"action": report.task}
        found["progress"] = ProgressDocument.told(report.progress)
        return cls.model_construct(**found)


class NodeAnswer(BaseModel):
    """What one node said."""

    node: str
    at: datetime = Field(description="by the node's clock")
    runs: list[ReportDocument]
    error: str = Field(description="why it could not tell; empty if it could")

    @classmethod
    def of(cls, answer: Answer) -> "NodeAnswer":
        """The answer as a document."""
        return cls.model_construct(
            node=answer.node,
            at=answer.at,
            runs=[ReportDocument.of(report) for report in answer.runs],
            error=answer.error,
        )


class LiveDocument(BaseModel):
    """What the nodes of a job said."""

    job: str
    items: list[NodeAnswer]
    silent: list[str] = Field(description="those that did not answer in time")


@router.get("/jobs/{job}/live", summary="What the nodes have on their disks")
async def live(
    desk: AtDesk, caller: Caller, job: InJob, query: Annotated[LiveQuery, Query()]
) -> LiveDocument:
    """Asks the nodes themselves, and names those that did not answer in time.

    Those that were not heard of lately are asked too, and not waited for.
    """
    within = min(query.timeout, WAIT_MAX_S)
    org = await run_in_threadpool(check_job, desk, caller, Verb.VIEW_LOG, job)
    asked = await run_in_threadpool(_ask, desk, job, org, query.node, within)
    said = await answers(desk, asked.ids, org=org, within=within, away=asked.away)
    answered = [answer for _, answer in sorted(said.items()) if answer is not None]
    return LiveDocument(
        job=job,
        items=[NodeAnswer.of(answer) for answer in answered],
        silent=[node for node in asked.nodes if said.get(node) is None],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was put to whom."""

    nodes: list[NodeId]
    ids: list[str]  # of the questions
    away: set[NodeId]  # those of the nodes that were not heard of lately


def _ask(desk: Desk, job: JobId, org: str, wanted: list[str], within: float) -> Asked:
    desk.job(job, org=org)
    with desk.database.reading() as connection:
        nodes = nodes_of(connection, job)
    unknown = sorted(set(wanted) - set(nodes))
    if unknown:
        raise NotFound(f"job {job} has no run on {unknown[0][:130]}")
    nodes = [node for node in nodes if not wanted or node in wanted]
    if len(nodes) > NODES_MAX:
        raise InvalidParameter(
            f"{len(nodes)} nodes are too many to be asked at once; name {NODES_MAX} at most",
            field="node",
        )
    patience = timedelta(seconds=max(within, 1.0))
    with desk.database.reading() as connection:
        known = list_nodes(connection, org, identities=nodes, with_facts=False)
    now = desk.clock()
    return Asked(
        nodes=nodes,
        ids=desk.control.questions.ask_runs(nodes, org=org, job=job, within=patience),
        away=set(nodes) - {node.identity for node in known if is_alive(node, now)},
    )
