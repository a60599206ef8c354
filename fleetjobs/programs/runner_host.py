"""Runner host: `python -m fleetjobs.programs.runner_host FD WORKPLACE`; started by the worker."""

import gc
import logging
import socket
import sys
from collections.abc import Sequence

from fleetjobs.clocks import now
from fleetjobs.node.host import Host
from fleetjobs.node.warmth import warm_up
from fleetjobs.node.workplace import Workplace
from fleetjobs.programs.registries import for_runners
from fleetjobs.registry import Registry


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve the worker that holds the other end of the socket."""
    descriptor, text = sys.argv[1:] if arguments is None else arguments
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    workplace = Workplace.from_text(text)
    registry = for_runners(workplace)
    prepare()
    serve(socket.socket(fileno=int(descriptor)), workplace, registry)


def prepare() -> None:
    """Do what each process forked from this one would do by itself, in memory of its own."""
    warm_up(now())
    gc.collect()
    gc.freeze()  # what is there stays: collecting it in a fork would copy its pages


def serve(connection: socket.socket, workplace: Workplace, registry: Registry) -> None:
    """Be the host, here and now; also for a process that was forked for it."""
    Host(connection, workplace, registry, now).serve()


if __name__ == "__main__":
    main()
