"""Warnings: what is wrong with a node though it lives."""

from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel, Field
from sqlalchemy import Connection

from fleetjobs.names import NodeId
from fleetjobs.nodes import UNANSWERED_AFTER, Node, has_twin, is_alive
from fleetjobs.store.counts import unanswered_since
from fleetjobs.store.leases import PAUSED_NODE, Switch, list_switches


class WarningDocument(BaseModel):
    """Something that is wrong with a node though it lives."""

    node: str
    code: str = Field(description="`twin`, `unanswered` or `paused`")
    text: str


Warnings = dict[NodeId, list[WarningDocument]]  #: by node; one without is not in it


def find_warnings(
    connection: Connection, nodes: Sequence[Node], org: str, now: datetime
) -> Warnings:
    """What is wrong with these nodes of the org."""
    unanswered = unanswered_since(connection, org, now - UNANSWERED_AFTER)
    switches = list_switches(connection)
    found: Warnings = {}
    for node in nodes:
        warnings = [_twin(node)] if has_twin(node, now) else []
        said = switches.get(f"{PAUSED_NODE}{node.identity}")
        if said is not None:
            warnings.append(_paused(node, said))
        since = unanswered.get(node.identity)
        if since is not None and is_alive(node, now):
            warnings.append(_unanswered(node, since))
        if warnings:
            found[node.identity] = warnings
    return found


def _twin(node: Node) -> WarningDocument:
    text = "two machines use this identity; each gets some of its jobs, so give one of them another"
    return WarningDocument(node=node.identity, code="twin", text=text)


def _paused(node: Node, said: Switch) -> WarningDocument:
    why = f": {said.message}" if said.message else ""
    text = f"it begins nothing, {said.by} paused it{why}; `fj resume --node {node.identity}`"
    return WarningDocument(node=node.identity, code="paused", text=text)


def _unanswered(node: Node, since: datetime) -> WarningDocument:
    text = (
        f"it beats, and answers nothing it was sent since {since:%Y-%m-%d %H:%M:%S} UTC; "
        "if its log does not say why, start it again"
    )
    return WarningDocument(node=node.identity, code="unanswered", text=text)
