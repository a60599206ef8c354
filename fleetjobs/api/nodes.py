"""Nodes: which there are, which of them a target picks, and how new ones are enrolled."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from msgspec import Struct
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from fleetjobs.api.access import Admin, Caller, clean_query
from fleetjobs.api.bodies import JSON, decode_body, json_body, read_body
from fleetjobs.api.desk import AtDesk, Desk
from fleetjobs.api.documents import Page
from fleetjobs.api.node_documents import NodeAgent, NodeAgents, NodeDocument, RefusedAgent
from fleetjobs.api.parameters import SEQ_MAX, OnNode, Parameters
from fleetjobs.api.problems import CHANGES, RESPONSES
from fleetjobs.api.warnings import find_warnings
from fleetjobs.documents import Identity
from fleetjobs.errors import NoNodes, NotFound
from fleetjobs.names import NodeId
from fleetjobs.nodes import is_alive
from fleetjobs.signing import VerifyKey
from fleetjobs.store.access import Account
from fleetjobs.store.nodes import get_node, list_nodes, node_interfaces
from fleetjobs.targets import make_target, pick

router = APIRouter(tags=["nodes"], responses=RESPONSES, dependencies=[Depends(clean_query)])


class NodeQuery(Parameters):
    """A target: the nodes that it picks, or all of the org's."""

    identity: list[str] = Field([], description="names, or /regex/; any of them")
    fact: list[str] = Field([], description="fact=value and the other comparisons; all of them")
    class_: list[str] = Field([], alias="class", description="names, or /regex/; all of them")
    agent: list[str] = Field([], description="names; all of them")
    compound: str | None = Field(None, description="and or not ( ) over the above")
    limit: str | None = Field(None, description="a number, or a share such as 10%")
    method: str = Field("first", description="how a limit picks: first or random")
    seed: int | None = Field(None, ge=-SEQ_MAX, le=SEQ_MAX, description="of the random pick")


class RemovalQuery(Parameters):
    """How a node is taken off."""

    force: bool = Field(default=False, description="also if it lives")


class RemovalDocument(BaseModel):
    """A node that was taken off."""

    identity: str
    given_up: int = Field(description="how many of its runs had not ended, and have failed now")


LIVES: dict[int | str, dict[str, Any]] = {409: CHANGES[409]}


class Enrollment(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A node and the key by which its replies are believed."""

    identity: Identity
    verify_key: str  # Ed25519, base64url


_BODY = json_body(Enrollment)


@router.get("/nodes", summary="List or find nodes")
def index(desk: AtDesk, caller: Caller, query: Annotated[NodeQuery, Query()]) -> Page[NodeDocument]:
    """The org's nodes, by name; with parameters, those that the target they make would pick."""
    target = make_target(
        identities=query.identity,
        facts=query.fact,
        classes=query.class_,
        agents=query.agent,
        compound=query.compound,
        limit=query.limit,
        method=query.method,
        seed=query.seed,
    )
    now = desk.clock()
    with desk.database.reading() as connection:
        nodes = {node.identity: node for node in list_nodes(connection, caller.sees)}
        warnings = find_warnings(connection, list(nodes.values()), caller.org, now)
    try:
        picked = pick(target, nodes.values())
    except NoNodes:
        picked = []
    items = [
        NodeDocument.of(
            nodes[name], alive=is_alive(nodes[name], now), warnings=warnings.get(name, ())
        )
        for name in picked
    ]
    return Page(items=items, next=None)


@router.get("/nodes/{node}", summary="One node")
def show(desk: AtDesk, caller: Caller, node: OnNode) -> NodeDocument:
    """What its last beat told."""
    return _document(desk, node, caller.sees)


@router.get("/nodes/{node}/agents", summary="Agents of a node")
def agents(desk: AtDesk, caller: Caller, node: OnNode) -> NodeAgents:
    """Those it offers, by which contract, and those it refused, with the reasons."""
    with desk.database.reading() as connection:
        found = get_node(connection, node, org=caller.sees)
        if found is None:
            raise NotFound(f"there is no node {node}")
        interfaces = node_interfaces(connection, node)
    return NodeAgents(
        items=[
            NodeAgent(
                name=interface.name,
                version=interface.version,
                provider=interface.provider,
                description=interface.description,
                actions=sorted(interface.actions),
            )
            for interface in interfaces
        ],
        refused=[
            RefusedAgent(name=name, reason=why) for name, why in sorted(found.refused.items())
        ],
    )


@router.post(
    "/nodes",
    summary="Enroll a node",
    status_code=HTTPStatus.CREATED,
    openapi_extra=_BODY,
    responses={200: {"model": NodeDocument, "description": "It was enrolled with that key."}},
)
async def enroll(request: Request, response: Response, desk: AtDesk, caller: Admin) -> NodeDocument:
    """Believe what is signed by that key to come from that node, from now on."""
    enrollment = decode_body(Enrollment, await read_body(request, kinds={JSON}))
    if not await run_in_threadpool(_enroll, desk, caller, enrollment):
        response.status_code = HTTPStatus.OK
    response.headers["Location"] = f"/api/v1/nodes/{enrollment.identity}"
    return await run_in_threadpool(_document, desk, NodeId(enrollment.identity), caller.org)


def _enroll(desk: Desk, caller: Account, enrollment: Enrollment) -> bool:
    key = VerifyKey.from_text(enrollment.verify_key)
    node = NodeId(enrollment.identity)
    return desk.control.nodes.enroll(node, key, org=caller.org, account=caller.name)


@router.delete("/nodes/{node}", summary="Take a node off the fleet", responses=LIVES)
def remove(
    desk: AtDesk, caller: Admin, node: OnNode, query: Annotated[RemovalQuery, Query()]
) -> RemovalDocument:
    """Believe nothing more that it signs, and end its runs as failed. What it did stays on record.

    A machine that still has them is told to let them go, should it come for its messages.
    """
    given_up = desk.control.nodes.remove(
        node, org=caller.org, account=caller.name, force=query.force
    )
    return RemovalDocument(identity=node, given_up=given_up)


def _document(desk: Desk, node: NodeId, org: str | None) -> NodeDocument:
    with desk.database.reading() as connection:
        found = get_node(connection, node, org=org)
        if found is None:
            raise NotFound(f"there is no node {node}")
        warnings = find_warnings(connection, [found], found.org, desk.clock())
    alive = is_alive(found, desk.clock())
    return NodeDocument.of(found, alive=alive, warnings=warnings.get(node, ()))
