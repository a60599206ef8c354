"""Hosts: fork the runner hosts of many nodes from one small process, before Celery is anywhere."""

import os
import socket
from collections.abc import Callable, Sequence

from fleetjobs.node.workplace import Workplace
from fleetjobs.programs.family import Child, Family
from fleetjobs.programs.premises import Premises
from fleetjobs.programs.registries import Registries, for_runners
from fleetjobs.programs.runner_host import prepare, serve
from fleetjobs.programs.settings import NodeSettings, load_settings
from fleetjobs.programs.workplaces import workplace_of
from fleetjobs.registry import Registry


def raise_hosts(
    premises: Premises, nodes: Sequence[str], family: Family, *, stage: int, private: Sequence[int]
) -> dict[str, int]:
    """A host for each node, and the descriptors that its worker is to talk to it by.

    The caller closes them once the workers have theirs. A host ends with its worker and is not
    started again here: the worker then starts one of its own. `private` are not the hosts' affair.
    """
    workplaces = {name: _workplace(premises, name) for name in nodes}
    registries = Registries(for_runners)
    agents = {name: registries.of(place) for name, place in workplaces.items()}
    prepare()
    pairs = {identity: socket.socketpair() for identity in nodes}
    ends = {identity: [end.detach() for end in pair] for identity, pair in pairs.items()}
    for identity in nodes:
        theirs = ends[identity][1]
        others = [end for pair in ends.values() for end in pair if end not in {theirs, -1}]
        child = Child(
            name=f"runner host of {identity}",
            run=_host(theirs, workplaces[identity], agents[identity]),
            log=premises.log(identity),
            stage=stage,
            lasting=False,
            closing=[*private, *others],
        )
        family.add(child)
        os.close(theirs)
        ends[identity][1] = -1
    return {identity: pair[0] for identity, pair in ends.items()}


def _workplace(premises: Premises, identity: str) -> Workplace:
    return workplace_of(load_settings(NodeSettings, premises.node_settings(identity), {}))


def _host(descriptor: int, workplace: Workplace, registry: Registry) -> Callable[[], None]:
    return lambda: serve(socket.socket(fileno=descriptor), workplace, registry)
