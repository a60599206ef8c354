"""Nursery: import Celery once, fork a worker for each node.

    python -m fleetjobs.programs.nursery --logs DIRECTORY [FD:]NODE.TOML...

A worker started by itself takes 46 MiB; forked from one warm parent, what they have in common is
in memory once. FD is the socket to a runner host that waits for the worker. It is the first
worker's: host and worker end with each other, and a worker that is started again has to see to a
host of its own.
"""

import argparse
import gc
import importlib
import os
import socket
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import redis.utils
from kombu.transport import get_transport_cls

from fleetjobs.clocks import now
from fleetjobs.node import warmth
from fleetjobs.programs.family import Child, Family, Stop
from fleetjobs.programs.logs import set_up_logs
from fleetjobs.programs.node import run_worker
from fleetjobs.programs.registries import Registries, for_worker
from fleetjobs.programs.settings import NodeSettings, load_settings
from fleetjobs.programs.workplaces import workplace_of
from fleetjobs.registry import Registry

_WARM = (  # what a worker imports only once it starts: imported before the fork, all share it
    "re2",
    "email.parser",
    "encodings.idna",
    "hmac",
    "billiard.pool",
    "celery.app.amqp",
    "celery.app.control",
    "celery.app.events",
    "celery.app.log",
    "celery.app.routes",
    "celery.app.trace",
    "celery.apps.worker",
    "celery.backends.base",
    "celery.concurrency.solo",
    "celery.events.receiver",
    "celery.fixups.django",
    "celery.loaders.app",
    "celery.worker.autoscale",
    "celery.worker.components",
    "celery.worker.consumer",
    "celery.worker.control",
    "celery.worker.strategy",
    "celery.worker.worker",
    "kombu.pidbox",
)


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m fleetjobs.programs.nursery")
    parser.add_argument("--logs", type=Path, required=True, help="a file for each node goes here")
    parser.add_argument("places", nargs="+", metavar="[FD:]NODE.TOML")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Keep the workers alive until SIGTERM; the exit status."""
    options = make_parser().parse_args(arguments)
    set_up_logs("INFO")
    places = [_read(place) for place in options.places]
    warm_up({settings.broker for settings, _ in places})
    registries = Registries(for_worker)
    agents = [registries.of(workplace_of(settings)) for settings, _ in places]
    gc.freeze()  # what is there stays: collecting it in a child would copy its pages
    family, stop = Family(), Stop()
    sockets = [descriptor for _, descriptor in places if descriptor is not None]
    for (settings, descriptor), registry in zip(places, agents, strict=True):
        worker = _Worker(settings, registry, descriptor)
        closing = [other for other in sockets if other != descriptor]
        log = options.logs / f"{settings.identity}.log"
        name = f"worker of {settings.identity}"
        child = family.add(Child(name=name, run=worker.run, log=log, closing=closing))
        if descriptor is not None:
            os.close(descriptor)  # the host sees the end of its worker only if we do not hold on
            sockets.remove(descriptor)
        worker.descriptor, child.closing = None, ()
    while not stop.asked:
        family.watch(within=60.0)
    family.stop(lambda: stop.pressed)
    return 0


def warm_up(brokers: Iterable[str]) -> None:
    """Import what every worker will need, for these brokers, and use it once where that lasts."""
    for name in _WARM:
        importlib.import_module(name)
    for url in brokers:
        get_transport_cls(url.partition(":")[0])
    redis.utils.get_lib_version()  # type: ignore[no-untyped-call]  # theirs bears no types
    warmth.warm_up(now())


def _read(place: str) -> tuple[NodeSettings, int | None]:
    descriptor, colon, path = place.rpartition(":")
    settings = load_settings(NodeSettings, Path(path), {})
    return settings, int(descriptor) if colon else None


@dataclass(slots=True)
class _Worker:
    settings: NodeSettings
    registry: Registry
    descriptor: int | None  # None from the second start on

    def run(self) -> None:
        """In the child: be the worker."""
        set_up_logs(self.settings.log_level)
        host = None if self.descriptor is None else socket.socket(fileno=self.descriptor)
        run_worker(self.settings, host, self.registry)


if __name__ == "__main__":
    sys.exit(main())
