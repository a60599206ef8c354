"""Verbs: what a person may do to a job that was accepted; done twice, it is done once."""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import APIRouter, Depends, Request, Response
from starlette.concurrency import run_in_threadpool
from uuid_utils import uuid7

from fleetjobs.access import Verb
from fleetjobs.api.access import Acting, Operator, clean_query
from fleetjobs.api.bodies import JSON, decode_body, json_body, read_body
from fleetjobs.api.describing import document_of, tag
from fleetjobs.api.desk import AtDesk, Desk
from fleetjobs.api.faults import InvalidBody
from fleetjobs.api.job_documents import JobDocument
from fleetjobs.api.parameters import InJob
from fleetjobs.api.problems import CHANGES, FULL, RESPONSES
from fleetjobs.api.rights import check_job
from fleetjobs.api.wishes import Again, Cancel, Choice, Retry, Verdict
from fleetjobs.control.retries import Manner
from fleetjobs.control.submissions import Submission
from fleetjobs.documents import encode
from fleetjobs.jobs import Job
from fleetjobs.names import NODE_ID, JobId, NodeId
from fleetjobs.plans.documents import RetryMode
from fleetjobs.requests import Request as Asked
from fleetjobs.states import State
from fleetjobs.store.nodes import list_nodes
from fleetjobs.store.runs import nodes_of
from fleetjobs.targets import Target, pick

router = APIRouter(
    tags=["jobs"], responses=RESPONSES | CHANGES, dependencies=[Depends(clean_query)]
)


W = TypeVar("W", bound=Choice)


def _takes(kind: type[Choice], *, required: bool = False) -> dict[str, Any]:
    return json_body(kind, required=required)


_NEW: dict[int | str, dict[str, Any]] = {
    202: {
        "model": JobDocument,
        "description": "A new job was made of it.",
        "headers": {"Location": {"description": "the new job", "schema": {"type": "string"}}},
    }
}
_BEFORE: dict[int | str, dict[str, Any]] = {
    200: {"model": JobDocument, "description": "It was asked for before."}
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """Something to be done to a job, by whom."""

    desk: Desk
    caller: Acting
    job: JobId
    right: Verb = Verb.RUN  # that it takes

    async def do(
        self, response: Response, target: Target, verb: Callable[..., Job], **more: Any
    ) -> JobDocument:
        """Do it on the nodes that are meant; the job then."""

        def act() -> tuple[Job, JobDocument]:
            check_job(self.desk, self.caller, self.right, self.job, changes=True)
            nodes = chosen(self.desk, self.job, target, org=self.caller.org)
            who = {"org": self.caller.org, "account": self.caller.name}
            found = verb(self.job, **who, nodes=nodes, **more)
            return found, document_of(self.desk, found)

        found, document = await run_in_threadpool(act)
        tag(response, found)
        return document


def chosen(desk: Desk, job: JobId, target: Target, *, org: str) -> list[NodeId] | None:
    """Those of the job's nodes that the target picks; None for all of them.

    Raises NotFound, NoNodes, InvalidTarget.
    """
    if target == Target():
        return None
    if target == Target(identities=target.identities) and all(
        map(NODE_ID.match, target.identities)
    ):
        return [NodeId(name) for name in target.identities]
    desk.job(job, org=org)
    with desk.database.reading() as connection:
        names = set(nodes_of(connection, job))
        nodes = [node for node in list_nodes(connection, org) if node.identity in names]
    return pick(target, nodes)


async def _wish(request: Request, kind: type[W]) -> W:
    """The body; none at all is an empty one."""
    if "content-type" not in request.headers and not await request.body():
        return decode_body(kind, b"{}")
    return decode_body(kind, await read_body(request, kinds={JSON}))


@router.post("/jobs/{job}/cancel", summary="Call a job off", openapi_extra=_takes(Cancel))
async def cancel(
    request: Request, response: Response, desk: AtDesk, caller: Operator, job: InJob
) -> JobDocument:
    """What has not begun never will; what runs is ended. Nodes that are away confirm later.

    `force` does not wait for them. With `rollback`, what a plan has done is undone. On a job that
    has ended it does nothing.
    """
    wish = await _wish(request, Cancel)
    deed = Deed(desk=desk, caller=caller, job=job, right=Verb.CANCEL)
    how = {"force": wish.force, "rollback": wish.rollback}
    return await deed.do(response, wish.target, desk.control.verbs.cancel, **how)


@router.post(
    "/jobs/{job}/rollback", summary="Undo what a plan has done", openapi_extra=_takes(Choice)
)
async def rollback(
    request: Request, response: Response, desk: AtDesk, caller: Operator, job: InJob
) -> JobDocument:
    """Of a plan that waits for a person, or whose `on_failure` is `pause` or `rollback`.

    What runs comes to its end first; what has not begun never will. The plan has failed then.
    """
    wish = await _wish(request, Choice)
    deed = Deed(desk=desk, caller=caller, job=job)
    return await deed.do(response, wish.target, desk.control.verbs.rollback)


@router.delete("/jobs/{job}", summary="Call a job off")
async def remove(response: Response, desk: AtDesk, caller: Operator, job: InJob) -> JobDocument:
    """As `cancel`: what was accepted stays on record."""
    deed = Deed(desk=desk, caller=caller, job=job, right=Verb.CANCEL)
    return await deed.do(response, Target(), desk.control.verbs.cancel)


@router.post("/jobs/{job}/hold", summary="Set a job aside", openapi_extra=_takes(Choice))
async def hold(
    request: Request, response: Response, desk: AtDesk, caller: Operator, job: InJob
) -> JobDocument:
    """What has not begun does not begin until it is released."""
    wish = await _wish(request, Choice)
    deed = Deed(desk=desk, caller=caller, job=job, right=Verb.CANCEL)
    return await deed.do(response, wish.target, desk.control.verbs.hold)


@router.post("/jobs/{job}/release", summary="Let a held job go on", openapi_extra=_takes(Choice))
async def release(
    request: Request, response: Response, desk: AtDesk, caller: Operator, job: InJob
) -> JobDocument:
    """What was held goes on; nothing else is touched."""
    wish = await _wish(request, Choice)
    deed = Deed(desk=desk, caller=caller, job=job)
    return await deed.do(response, wish.target, desk.control.verbs.release)


@router.post("/jobs/{job}/resume", summary="Let what is paused go on", openapi_extra=_takes(Choice))
async def resume(
    request: Request, response: Response, desk: AtDesk, caller: Operator, job: InJob
) -> JobDocument:
    """Released if it was held, tried again if its node was lost."""
    wish = await _wish(request, Choice)
    deed = Deed(desk=desk, caller=caller, job=job)
    return await deed.do(response, wish.target, desk.control.verbs.resume)


@router.post(
    "/jobs/{job}/resolve",
    summary="Say what came of it",
    openapi_extra=_takes(Verdict, required=True),
)
async def resolve(
    request: Request, response: Response, desk: AtDesk, caller: Operator, job: InJob
) -> JobDocument:
    """Of runs that wait for a person, such as those of a node that was lost."""
    wish = await _wish(request, Verdict)
    deed = Deed(desk=desk, caller=caller, job=job)
    outcome = State(wish.outcome)
    return await deed.do(response, wish.target, desk.control.verbs.resolve, outcome=outcome)


@router.post("/jobs/{job}/skip", summary="Leave a leg out", openapi_extra=_takes(Choice))
async def skip(
    request: Request, response: Response, desk: AtDesk, caller: Operator, job: InJob
) -> JobDocument:
    """Of a leg, the runs that wait for a person: its plan goes on without them."""
    wish = await _wish(request, Choice)
    deed = Deed(desk=desk, caller=caller, job=job)
    return await deed.do(response, wish.target, desk.control.verbs.skip)


@router.post(
    "/jobs/{job}/retry",
    summary="Try again what went wrong",
    openapi_extra=_takes(Retry),
    responses=_NEW | FULL,
)
async def retry(
    request: Request, response: Response, desk: AtDesk, caller: Operator, job: InJob
) -> JobDocument:
    """Of a live job, what waits for a person or for its next attempt: now, in the same job.

    Of a job that has ended, a new one on the nodes where it did not succeed. `mode` says what is
    undone before legs of a plan are tried again that wait for a person: `rollback_self` what they
    did by half, `rollback_to` earlier legs as well.
    """
    wish = await _wish(request, Retry)
    manner = _manner(desk, wish)
    deed = Deed(desk=desk, caller=caller, job=job)
    found = await run_in_threadpool(desk.job, job, org=caller.org)
    if not found.state.is_terminal:
        return await deed.do(response, wish.target, desk.control.verbs.retry, manner=manner)
    if manner is not None:
        raise InvalidBody(
            "the job has ended: nothing it did is undone before it is asked for anew", field="mode"
        )
    if wish.target != Target():
        raise InvalidBody(
            "the job has ended: it is tried again on all nodes where it failed, not on chosen ones",
            field="target",
        )
    return await _again(deed, response, wish, failed=True)


def _manner(desk: Desk, wish: Retry) -> Manner | None:
    """How legs are to be tried again; None: as they say. Raises InvalidBody."""
    if bool(wish.rollback_to) != (wish.mode is RetryMode.ROLLBACK_TO):
        why = "the mode rollback_to and the legs in rollback_to belong together"
        raise InvalidBody(why, field="rollback_to")
    if wish.mode is None:
        return None

    def seal(asked: Asked) -> str:
        return desk.key.seal(encode(asked))

    return Manner(mode=wish.mode, keys=wish.rollback_to, seal=seal)


@router.post(
    "/jobs/{job}/rerun",
    summary="Ask for the same once more",
    status_code=HTTPStatus.ACCEPTED,
    openapi_extra=_takes(Again),
    responses=_BEFORE | _NEW | FULL,
)
async def rerun(
    request: Request, response: Response, desk: AtDesk, caller: Operator, job: InJob
) -> JobDocument:
    """A new job of the same request, at once and on all its nodes; signed by the server."""
    wish = await _wish(request, Again)
    if wish.target != Target():
        raise InvalidBody("a rerun is on the nodes of the job it repeats", field="target")
    deed = Deed(desk=desk, caller=caller, job=job)
    return await _again(deed, response, wish, failed=False)


async def _again(deed: Deed, response: Response, wish: Again, *, failed: bool) -> JobDocument:
    desk, caller = deed.desk, deed.caller

    def ask() -> tuple[Submission, JobDocument]:
        check_job(desk, caller, Verb.RUN, deed.job, changes=True)
        made = desk.control.rerun(
            deed.job,
            org=caller.org,
            account=caller.name,
            id=JobId(wish.id or str(uuid7())),
            seal=lambda asked: desk.key.seal(encode(asked)),
            failed=failed,
        )
        return made, document_of(desk, made.job)

    made, document = await run_in_threadpool(ask)
    response.status_code = HTTPStatus.ACCEPTED if made.created else HTTPStatus.OK
    response.headers["Location"] = f"/api/v1/jobs/{made.job.id}"
    tag(response, made.job)
    return document
