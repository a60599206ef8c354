"""Hosts: fork the runner hosts of many nodes from one small process, before Celery is anywhere."""

import os
import socket
from collections.abc import Callable, Sequence

from fleetjobs.node.workplace import Workplace
from fleetjobs.programs.family import Child, Family
from fleetjobs.programs.premises import Premises
from fleetjobs.programs.runner_host import serve
from fleetjobs.programs.settings import NodeSettings, load_settings
from fleetjobs.programs.workplaces import workplace_of


def raise_hosts(
    premises: Premises, nodes: Sequence[str], family: Family, *, stage: int, private: Sequence[int]
) -> dict[str, int]:
    """A host for each node, and the descriptors that its worker is to talk to it by.

    The caller closes them once the workers have theirs. A host ends with its worker and is not
    started again here: the worker then starts one of its own. `private` are not the hosts' affair.
    """
    pairs = {identity: socket.socketpair() for identity in nodes}
    ends = {identity: [end.detach() for end in pair] for identity, pair in pairs.items()}
    for identity in nodes:
        theirs = ends[identity][1]
        others = [end for pair in ends.values() for end in pair if end not in {theirs, -1}]
        settings = load_settings(NodeSettings, premises.node_settings(identity), {})
        child = Child(
            name=f"runner host of {identity}",
            run=_host(theirs, workplace_of(settings)),
            log=premises.log(identity),
            stage=stage,
            lasting=False,
            closing=[*private, *others],
        )
        family.add(child)
        os.close(theirs)
        ends[identity][1] = -1
    return {identity: pair[0] for identity, pair in ends.items()}


def _host(descriptor: int, workplace: Workplace) -> Callable[[], None]:
    return lambda: serve(socket.socket(fileno=descriptor), workplace)
