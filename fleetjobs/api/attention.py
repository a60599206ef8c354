"""Attention: the runs that wait for a person to decide."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from fleetjobs.api.access import Caller, clean_query
from fleetjobs.api.desk import AtDesk
from fleetjobs.api.documents import Page, RunDocument
from fleetjobs.api.parameters import Part
from fleetjobs.api.problems import RESPONSES
from fleetjobs.jobs import Job, Run
from fleetjobs.store.jobs import JobFilter, list_jobs
from fleetjobs.store.runs import list_attention

router = APIRouter(tags=["attention"], responses=RESPONSES, dependencies=[Depends(clean_query)])


class AttentionDocument(RunDocument):
    """A run that waits for a person; `reason` tells why."""

    agent: str
    action: str
    caller: str = Field(description="who asked for the job")

    @classmethod
    def about(cls, run: Run, job: Job) -> "AttentionDocument":
        """The run with what its job says of it."""
        told = dict(RunDocument.of(run))
        return cls.model_construct(**told, agent=job.agent, action=job.action, caller=job.caller)


@router.get("/attention", summary="What waits for a person")
def index(desk: AtDesk, caller: Caller, query: Annotated[Part, Query()]) -> Page[AttentionDocument]:
    """The org's runs that need a decision: resume, retry, resolve or cancel."""
    with desk.database.reading() as connection:
        page = list_attention(connection, org=caller.org, cursor=query.cursor, limit=query.size)
        ids = sorted({run.job for run in page.items})
        wanted = JobFilter(org=caller.org, ids=ids)
        found = list_jobs(connection, wanted, limit=len(ids)).items if ids else []
    jobs = {job.id: job for job in found}
    items = [AttentionDocument.about(run, jobs[run.job]) for run in page.items if run.job in jobs]
    return Page(items=items, next=page.next)
