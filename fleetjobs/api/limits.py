"""Limits: how many runs of an action may be at work at once, fleet-wide, in an org, on a node."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from msgspec import Meta, Struct
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from fleetjobs.api.access import Acting, Admin, Caller, check_fleet, clean_query
from fleetjobs.api.bodies import JSON, decode_body, json_body, read_body
from fleetjobs.api.desk import AtDesk
from fleetjobs.api.documents import Page
from fleetjobs.api.parameters import Parameters
from fleetjobs.api.problems import RESPONSES
from fleetjobs.control.parallel import Shown
from fleetjobs.limits import MOST, Limit, Scope

router = APIRouter(tags=["limits"], responses=RESPONSES, dependencies=[Depends(clean_query)])
Task = Annotated[str, Path(max_length=129, description="the action, `agent.action`")]


class LimitWish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many at once, and what is counted together."""

    max_parallel: Annotated[int, Meta(ge=1, le=MOST)]
    scope: Scope = Scope.FLEET
    name: Annotated[str, Meta(max_length=128)] | None = None  # org or node; null: each by itself


class LimitQuery(Parameters):
    """Which of the action's limits."""

    scope: Scope = Field(Scope.FLEET, description="fleet, org or node")
    name: str | None = Field(None, max_length=128, description="of the org or node, if it has one")


class LimitDocument(BaseModel):
    """A limit, and how much of it is used."""

    action: str = Field(description="agent.action")
    scope: Scope = Field(description="what is counted together")
    name: str | None = Field(description="the org or node; null: the fleet, or each by itself")
    max_parallel: int
    declared: bool = Field(description="by the interface on the nodes; else set by an admin")
    by: str | None = Field(description="who set it; null: nodes keep it themselves")
    at: datetime | None
    at_work: int = Field(description="runs of the org that have a slot of the action")
    in_line: int = Field(description="runs of the org that wait for one")

    @classmethod
    def of(cls, shown: Shown) -> "LimitDocument":
        """The limit as a document."""
        limit = shown.limit
        return cls(
            action=limit.action,
            scope=limit.scope,
            name=limit.name,
            max_parallel=limit.most,
            declared=limit.declared,
            by=shown.by,
            at=shown.at,
            at_work=shown.use.at_work,
            in_line=shown.use.in_line,
        )


_BODY = json_body(LimitWish)


@router.get("/limits", summary="List limits")
def index(desk: AtDesk, caller: Caller) -> Page[LimitDocument]:
    """Those set by admins, and those that interfaces declare, by action."""
    shown = desk.control.parallel.list(org=caller.org)
    return Page(items=[LimitDocument.of(each) for each in shown], next=None)


@router.put("/limits/{action}", summary="Set a limit", openapi_extra=_BODY)
async def put(request: Request, desk: AtDesk, caller: Admin, action: Task) -> Page[LimitDocument]:
    """From now on; what is at work goes on. Gives all limits of the action."""
    wish = decode_body(LimitWish, await read_body(request, kinds={JSON}))
    limit = Limit(action=action, scope=wish.scope, name=wish.name, most=wish.max_parallel)
    _check(caller, limit)
    set_ = desk.control.parallel.set
    await run_in_threadpool(set_, limit, org=caller.org, account=caller.name)
    page = await run_in_threadpool(index, desk, caller)
    return Page(items=[item for item in page.items if item.action == action], next=None)


@router.delete("/limits/{action}", summary="Take a limit off")
def delete(
    desk: AtDesk, caller: Admin, action: Task, query: Annotated[LimitQuery, Query()]
) -> Page[LimitDocument]:
    """Who waits for it goes on, unless another limit holds. Gives what is left of the action's."""
    limit = Limit(action=action, scope=query.scope, name=query.name, most=1)
    _check(caller, limit)
    desk.control.parallel.delete(limit, org=caller.org, account=caller.name)
    items = [item for item in index(desk, caller).items if item.action == action]
    return Page(items=items, next=None)


def _check(caller: Acting, limit: Limit) -> None:
    """An org's admin limits the org and its nodes by name; what concerns all is the fleet's."""
    if limit.name is None:
        check_fleet(caller, f"a limit of {limit.scope} without a name")
