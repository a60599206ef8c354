"""Fullness: a broker that has no room, and says so in its own way."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from tests.processes import ServerProcess
from tests.servers import Rabbit


@contextmanager
def full(broker: ServerProcess) -> Iterator[None]:
    """It takes nothing meanwhile: RabbitMQ lets publishers wait, Redis refuses what they send."""
    if isinstance(broker, Rabbit):
        control(broker, "set_vm_memory_high_watermark", "absolute", "1")
        yield
        control(broker, "set_vm_memory_high_watermark", "0.6")
        return
    with redis.Redis.from_url(broker.url) as connection:
        connection.config_set("maxmemory", 1)
        yield
        connection.config_set("maxmemory", 0)


def control(broker: Rabbit, *words: str) -> None:
    """What an operator says to RabbitMQ."""
    program = broker.PROGRAM.with_name("rabbitmqctl")
    environment = broker._environment()
    argv = [str(program), "-n", environment["RABBITMQ_NODENAME"], *words]
    subprocess.run(argv, env=environment, check=True, capture_output=True, timeout=60)
