"""Agents: what can be asked of the org's nodes."""

from collections import Counter
from itertools import groupby
from typing import Annotated

from fastapi import APIRouter, Depends, Path

from fleetjobs.api.access import Caller, clean_query
from fleetjobs.api.desk import AtDesk
from fleetjobs.api.documents import Page
from fleetjobs.api.node_documents import ActionDocument, AgentDetail, AgentDocument
from fleetjobs.api.problems import RESPONSES
from fleetjobs.errors import UnknownAgent
from fleetjobs.interfaces import read_interface
from fleetjobs.store.nodes import Offer, list_interfaces

router = APIRouter(tags=["agents"], responses=RESPONSES, dependencies=[Depends(clean_query)])


@router.get("/agents", summary="List agents")
def index(desk: AtDesk, caller: Caller) -> Page[AgentDocument]:
    """The agents that at least one of the org's nodes has, by name."""
    with desk.database.reading() as connection:
        offers = list_interfaces(connection, caller.sees)
    by_name = groupby(offers, key=lambda offer: offer.interface.name)
    return Page(items=[_document(list(group)) for _, group in by_name], next=None)


@router.get("/agents/{name}", summary="One agent")
def show(
    desk: AtDesk, caller: Caller, name: Annotated[str, Path(description="an agent's name")]
) -> AgentDetail:
    """The agent's interface, as most of the nodes that have the agent declare it."""
    offers = []
    if "\x00" not in name:
        with desk.database.reading() as connection:
            offers = list_interfaces(connection, caller.sees, agent=name)
    if not offers:
        raise UnknownAgent(f"no node has an agent {name[:60]!r}")
    interface = _most_common(offers).interface.document
    return AgentDetail(**_document(offers).model_dump(), interface=interface)


@router.get("/actions/{name}", summary="One action")
def show_action(
    desk: AtDesk,
    caller: Caller,
    name: Annotated[str, Path(max_length=129, description="`agent.action`")],
) -> ActionDocument:
    """The action, as most of the nodes that have it declare it, and how many run at once."""
    agent, _, action = name.partition(".")
    found = show(desk, caller, agent)
    declared = read_interface(found.interface).action(action)
    limits = desk.control.parallel.list(org=caller.org)
    return ActionDocument(
        action=str(declared),
        description=declared.description,
        agent=agent,
        provider=found.provider,
        nodes=found.nodes,
        inline=declared.inline,
        idempotent=declared.idempotent,
        timeout_s=declared.timeout.total_seconds(),
        max_parallel={
            each.limit.scope: each.limit.most
            for each in limits
            if each.limit.action == str(declared) and each.limit.name in {None, caller.org}
        },
    )


def _document(offers: list[Offer]) -> AgentDocument:
    versions: Counter[str] = Counter()
    for offer in offers:
        versions[offer.interface.version] += offer.nodes
    interface = _most_common(offers).interface
    return AgentDocument(
        name=interface.name,
        version=interface.version,
        description=interface.description,
        nodes=versions.total(),
        versions=dict(versions),
        provider=interface.provider,
    )


def _most_common(offers: list[Offer]) -> Offer:
    return max(offers, key=lambda offer: offer.nodes)
