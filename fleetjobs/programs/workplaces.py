"""Workplaces: what runners have to know, from a node's settings. Light: runner hosts load this."""

from fleetjobs.names import node_id
from fleetjobs.node.workplace import Workplace
from fleetjobs.programs.places import AGENTS
from fleetjobs.programs.settings import NodeSettings


def workplace_of(settings: NodeSettings) -> Workplace:
    """The workplace of that node. Raises InvalidDocument for an impossible identity."""
    return Workplace(
        node=node_id(settings.identity),
        spool=settings.state / "spool",
        key=settings.key,
        agents=(AGENTS, *settings.agents),
        libdirs=settings.choria_libdirs,
        plugin_d=settings.choria_plugin_d,
        node_file=settings.state / "node.json",
        environments=settings.environments,
    )
