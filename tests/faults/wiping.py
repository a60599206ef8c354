"""Wiping: a broker that comes back on an empty disk."""

import shutil

from tests.processes import ServerProcess

DATA = ("mnesia", "appendonlydir")  #: of RabbitMQ, of Redis


def lose_disk(broker: ServerProcess) -> None:
    """Kill it, and start it without any queue or message.

    Deleting RabbitMQ's queues while it runs would be quicker, and another matter: a quorum queue
    that is declared anew at once leaves consumers of the old one that are told nothing.
    """
    broker.kill()
    for name in DATA:
        shutil.rmtree(broker.directory / name, ignore_errors=True)
    broker.start()
