"""Submissions: what came of handing something in, the first time and again."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from fleetjobs.control.acceptance import check_org, meaning_of
from fleetjobs.errors import Conflict
from fleetjobs.jobs import Job
from fleetjobs.names import JobId
from fleetjobs.plans.documents import PlanRequest
from fleetjobs.requests import Request
from fleetjobs.store.jobs import get_job, job_meaning


@dataclass(frozen=True, slots=True)
class Submission:
    """The job that stands for a request."""

    job: Job
    created: bool  # False: the same request was accepted before
    warnings: Sequence[str] = ()  # what stands in its way, for people


def find_earlier(connection: Connection, request: Request | PlanRequest, org: str) -> Job | None:
    """The job this request became before. Raises Conflict if its id became another."""
    check_org(request, org)
    taken = job_meaning(connection, JobId(request.id))
    if taken is None:
        return None
    if taken != (org, meaning_of(request)):
        raise Conflict(f"the id {request.id} was used before, for something else")
    return get_job(connection, JobId(request.id), org=org)
