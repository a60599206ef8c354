"""Attention: the runs that wait for a person to decide."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from fleetjobs.api.access import Caller, clean_query
from fleetjobs.api.desk import AtDesk
from fleetjobs.api.documents import Page
from fleetjobs.api.parameters import Part
from fleetjobs.api.problems import RESPONSES
from fleetjobs.api.run_documents import RunDocument
from fleetjobs.jobs import Job, Run
from fleetjobs.states import State
from fleetjobs.store.jobs import JobFilter, list_jobs
from fleetjobs.store.runs import list_attention

router = APIRouter(tags=["attention"], responses=RESPONSES, dependencies=[Depends(clean_query)])


class AttentionDocument(RunDocument):
    """A run that waits for a person; `reason` tells why."""

    agent: str
    action: str
    caller: str = Field(description="who asked for the job")
    plan: str | None = Field(description="the plan that it is a part of")
    leg: str | None = Field(description="its key there")
    verbs: list[str] = Field(description="what can be done about it, of the job or its plan")

    @classmethod
    def about(cls, run: Run, job: Job) -> "AttentionDocument":
        """The run with what its job says of it."""
        told = dict(RunDocument.of(run))
        return cls.model_construct(
            **told,
            agent=job.agent,
            action=job.action,
            caller=job.caller,
            plan=job.plan,
            leg=job.leg,
            verbs=_verbs(run, job),
        )


def _verbs(run: Run, job: Job) -> list[str]:
    found = ["retry", "resume", "resolve"] if run.state is State.PAUSED else []
    if job.plan is not None and run.state is State.PAUSED:
        found += ["skip"] if job.undoes is not None else ["skip", "rollback"]
    return [*found, "cancel"]


@router.get("/attention", summary="What waits for a person")
def index(desk: AtDesk, caller: Caller, query: Annotated[Part, Query()]) -> Page[AttentionDocument]:
    """The org's runs that need a decision: resume, retry, resolve or cancel."""
    with desk.database.reading() as connection:
        page = list_attention(connection, org=caller.sees, cursor=query.cursor, limit=query.size)
        ids = sorted({run.job for run in page.items})
        wanted = JobFilter(org=caller.sees, ids=ids)
        found = list_jobs(connection, wanted, limit=len(ids)).items if ids else []
    jobs = {job.id: job for job in found}
    items = [AttentionDocument.about(run, jobs[run.job]) for run in page.items if run.job in jobs]
    return Page(items=items, next=page.next)
