"""Nodes: what is known of each machine of the fleet."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from fleetjobs.names import NodeId
from fleetjobs.targets import BUILTIN

TWIN_SHOWN = timedelta(minutes=10)  #: so long after its last sign a node counts as doubled
UNANSWERED_AFTER = timedelta(minutes=5)  #: a node that beats and leaves things lie for longer
SILENT_AFTER = timedelta(seconds=60)  #: without a beat for longer, a node counts as away


CONTROLLER = NodeId("@controller")  #: the server's own machine


def is_builtin(identity: str) -> bool:
    """Whether it is a node of the fleet's own, which is meant only where it is named."""
    return identity.startswith(BUILTIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One machine with a worker, as its last beat described it."""

    identity: NodeId
    org: str
    facts: dict[str, Any]
    classes: frozenset[str]
    agents: dict[str, str]  # name -> version
    software: str | None  # fleetjobs' version; None until the first beat
    seen_at: datetime | None  # of the last beat; None: enrolled, never heard of
    started_at: datetime | None  # of its worker
    running: int  # runs at work
    waiting: int  # runs accepted and not yet started
    refused: dict[str, str] = field(default_factory=dict)  # agents it does not take, and why
    slots: int = 0  # runs at once; 0: it did not say
    twin_at: datetime | None = None  # when another machine last spoke under its identity


def is_alive(node: Node, now: datetime) -> bool:
    """Whether the node was heard of within SILENT_AFTER."""
    return node.seen_at is not None and now - node.seen_at <= SILENT_AFTER


def has_twin(node: Node, now: datetime) -> bool:
    """Whether two machines speak under its identity."""
    return node.twin_at is not None and now - node.twin_at <= TWIN_SHOWN
