"""Choice: which protocol goes with which provider."""

from collections.abc import Callable, Mapping

from fleetjobs.dialects import Provider
from fleetjobs.node.protocols.external import ExternalProtocol
from fleetjobs.node.protocols.implemented_by import ScriptProtocol
from fleetjobs.node.protocols.own import OwnProtocol
from fleetjobs.node.protocols.words import AgentProtocol
from fleetjobs.node.workplace import Workplace

_PROTOCOLS: Mapping[str, Callable[[Workplace], AgentProtocol]] = {
    Provider.FLEETJOBS: OwnProtocol,
    Provider.EXTERNAL: ExternalProtocol,
    Provider.IMPLEMENTED_BY: ScriptProtocol,
}


def protocol_of(provider: str, workplace: Workplace) -> AgentProtocol:
    """The protocol by which agents of that provider are called; a registry knows no others."""
    return _PROTOCOLS[provider](workplace)
