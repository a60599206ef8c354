"""Picks: which nodes a request means, of those that can do what it asks."""

from sqlalchemy import Connection

from fleetjobs.errors import NoNodes, UnknownAgent
from fleetjobs.names import NODE_ID, NodeId
from fleetjobs.nodes import Node
from fleetjobs.requests import Request
from fleetjobs.store.nodes import list_nodes
from fleetjobs.targets import Target, pick

_SHOWN = 5  #: nodes an error names at most
_FEW = 100  #: so many nodes are looked up one by one, if they are all the target names


def pick_nodes(connection: Connection, request: Request, org: str) -> list[NodeId]:
    """The org's nodes that the target picks among those with the agent, by name.

    A node that was named and has no such agent is an error; one that was merely matched is left
    out. Raises InvalidTarget, NoNodes, UnknownAgent.
    """
    names = _names(request.target)
    if names is not None:
        try:
            nodes = list_nodes(connection, org, identities=names, with_facts=_asks(request.target))
            return _pick(request, nodes)
        except NoNodes:
            pass  # seen beside all others, it may say which name was meant
    return _pick(request, list_nodes(connection, org, with_facts=_asks(request.target)))


def _names(target: Target) -> list[str] | None:
    """The only nodes that can be meant, if the target names them and they are few."""
    names = [name for name in target.identities if NODE_ID.match(name)]
    return names if names and len(names) == len(target.identities) <= _FEW else None


def _asks(target: Target) -> bool:
    """Whether the target looks at facts."""
    return bool(target.facts or target.compound)


def _pick(request: Request, nodes: list[Node]) -> list[NodeId]:
    able = [node for node in nodes if request.agent in node.agents]
    named = set(request.target.identities)
    unable = sorted({node.identity for node in nodes} & named - {node.identity for node in able})
    if unable:
        listed = ", ".join(unable[:_SHOWN]) + (", …" if len(unable) > _SHOWN else "")
        raise UnknownAgent(f"there is no agent {request.agent} on {listed}")
    if nodes and not able:
        raise UnknownAgent(f"no node has an agent {request.agent}")
    return pick(request.target, able)
