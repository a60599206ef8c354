"""Node documents: what the interface tells of nodes and of the agents they have."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from fleetjobs.api.documents import document
from fleetjobs.api.warnings import WarningDocument
from fleetjobs.limits import Scope
from fleetjobs.nodes import Node


class NodeDocument(BaseModel):
    """One machine with a worker, as its last beat described it."""

    identity: str
    org: str
    alive: bool = Field(description="it was heard of lately")
    facts: dict[str, Any]
    classes: list[str]
    agents: dict[str, str] = Field(description="name to version")
    software: str | None = Field(description="fleetjobs' version; null until it was heard of")
    seen_at: datetime | None = Field(description="when it was last heard of")
    started_at: datetime | None = Field(description="when its worker started")
    running: int = Field(description="runs at work")
    waiting: int = Field(description="runs accepted and not yet started")
    refused: dict[str, str] = Field(description="agents that it does not take: name to reason")
    slots: int = Field(description="how many runs may be at work at once; 0: it did not say")
    warnings: list[WarningDocument] = Field(description="what is wrong though it lives")

    @classmethod
    def of(
        cls, node: Node, *, alive: bool, warnings: Sequence[WarningDocument] = ()
    ) -> "NodeDocument":
        """The node as a document."""
        classes = sorted(node.classes)
        return document(cls, node, alive=alive, classes=classes, warnings=list(warnings))


class NodeAgent(BaseModel):
    """An agent as one node has it."""

    name: str
    version: str
    provider: str = Field(description="fleetjobs, external or implemented_by")
    description: str
    actions: list[str]


class RefusedAgent(BaseModel):
    """An agent that a node does not take."""

    name: str
    reason: str


class NodeAgents(BaseModel):
    """The agents of a node, and those it refused."""

    items: list[NodeAgent]
    refused: list[RefusedAgent]


class AgentDocument(BaseModel):
    """An agent that nodes of the org have."""

    name: str
    version: str = Field(description="the one that most nodes have")
    description: str
    nodes: int = Field(description="on how many nodes it is")
    versions: dict[str, int] = Field(description="on how many nodes each version is")
    provider: str = Field(description="fleetjobs, external or implemented_by")


class AgentDetail(AgentDocument):
    """An agent, and its interface."""

    interface: dict[str, Any] = Field(description="as in <agent>.json")


class ActionDocument(BaseModel):
    """An action that nodes of the org have."""

    action: str = Field(description="agent.action")
    description: str
    agent: str = Field(description="the program that has it")
    provider: str = Field(description="how it is called: fleetjobs, external or implemented_by")
    nodes: int = Field(description="on how many nodes it is")
    inline: bool = Field(description="quick and read-only: runs inside the worker")
    idempotent: bool
    timeout_s: float
    max_parallel: dict[Scope, int] = Field(
        description="so many at once in the fleet, in the org, on a node; 1: one after another"
    )
