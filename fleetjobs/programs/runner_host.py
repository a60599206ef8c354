"""Runner host: `python -m fleetjobs.programs.runner_host FD WORKPLACE`; started by the worker."""

import logging
import socket
import sys
from collections.abc import Sequence

from fleetjobs.clocks import now
from fleetjobs.node.host import Host
from fleetjobs.node.workplace import Workplace


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve the worker that holds the other end of the socket."""
    descriptor, workplace = sys.argv[1:] if arguments is None else arguments
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    serve(socket.socket(fileno=int(descriptor)), Workplace.from_text(workplace))


def serve(connection: socket.socket, workplace: Workplace) -> None:
    """Be the host, here and now; also for a process that was forked for it."""
    Host(connection, workplace, now).serve()


if __name__ == "__main__":
    main()
