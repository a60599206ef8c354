"""Servers: real brokers and databases for tests, on free loopback ports, in their own directories.

Each is usable by itself, for tests that break it: `with Rabbit(tmp_path) as broker: broker.kill()`.
Tests that only need one to be there take a fixture of `conftest.py`, which shares it.
"""

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from urllib.request import Request, urlopen

from tests.processes import LOOPBACK, ServerMissing, ServerProcess, free_port


class Redis(ServerProcess):
    """Redis (or Valkey) that writes every change to disk before it answers."""

    DATABASES = 10_000

    @property
    def url(self) -> str:
        """Database 0."""
        return f"redis://{LOOPBACK}:{self.port}/0"

    def database(self, number: int) -> str:
        """The address of one of its databases."""
        return f"redis://{LOOPBACK}:{self.port}/{number}"

    def _command(self) -> list[str]:
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        if program is None:
            raise ServerMissing("neither redis-server nor valkey-server is on the PATH")
        settings = {
            "bind": LOOPBACK,
            "port": self.port,
            "dir": self.directory,
            "databases": self.DATABASES,
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
        }
        return [program, *(part for key, v in settings.items() for part in (f"--{key}", str(v)))]

    def _answers(self) -> bool:
        with socket.create_connection((LOOPBACK, self.port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")


class Postgres(ServerProcess):
    """PostgreSQL; as root it runs as the user `postgres`, outside pytest's private directories."""

    def __init__(self, directory: Path) -> None:
        """Find the programs; the cluster is made at the first start. Raises ServerMissing."""
        super().__init__(directory)
        self._programs = _postgres_programs()
        self._home: Path | None = None

    @property
    def url(self) -> str:
        """The database every cluster has."""
        return self.database("postgres")

    def database(self, name: str) -> str:
        """The address of one of its databases."""
        return f"postgresql://fleetjobs@{LOOPBACK}:{self.port}/{name}"

    def start(self) -> None:
        """Make the cluster if there is none, and run it."""
        if self._home is None:
            self._home = Path(tempfile.mkdtemp(prefix="fleetjobs-postgres-"))
            if os.geteuid() == 0:
                shutil.chown(self._home, "postgres", "postgres")
            initdb = [self._programs / "initdb", "--no-sync", "-A", "trust", "-U", "fleetjobs"]
            argv = [*_as_postgres(), *map(str, initdb), "-E", "UTF8", "-D", str(self._data)]
            subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, env=self._environment())
        super().start()

    def __exit__(self, *exception: object) -> None:
        super().__exit__(*exception)
        if self._home is not None:
            shutil.rmtree(self._home)

    @property
    def _data(self) -> Path:
        return Path(str(self._home)) / "data"

    def _command(self) -> list[str]:
        settings = {
            "listen_addresses": LOOPBACK,
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": 200,
            "fsync": "off",  # we kill the server, not the machine under it
            "shared_buffers": "32MB",
        }
        options = [part for key, v in settings.items() for part in ("-c", f"{key}={v}")]
        program = str(self._programs / "postgres")
        return [*_as_postgres(), program, "-D", str(self._data), *options]

    def _answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


def _postgres_programs() -> Path:
    """The newest Debian installation's directory, else that of `postgres` on the PATH."""
    installed = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = max(installed, key=lambda path: float(path.parts[-3]), default=None)
    found = newest or shutil.which("initdb")
    if found is None:
        raise ServerMissing("PostgreSQL (initdb) is not installed")
    return Path(found).parent


def _as_postgres() -> list[str]:
    if os.geteuid() != 0:
        return []
    who = ["--reuid", "postgres", "--regid", "postgres", "--init-groups"]
    return ["setpriv", *who, "--pdeathsig", "KILL"]


class Rabbit(ServerProcess):
    """RabbitMQ with its management API, its own node name, port mapper and home directory."""

    PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # Debian's wrapper forbids own places

    def __init__(self, directory: Path) -> None:
        """Choose ports and write the configuration. Raises ServerMissing."""
        super().__init__(directory)
        if not self.PROGRAM.exists():
            raise ServerMissing(f"RabbitMQ ({self.PROGRAM}) is not installed")
        self._management, self._mapper_port, self._peers = free_port(), free_port(), free_port()
        self._mapper: subprocess.Popen[bytes] | None = None
        (directory / "plugins").write_text("[rabbitmq_management].\n")
        (directory / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = {LOOPBACK}:{self.port}\n"
            f"management.tcp.ip = {LOOPBACK}\nmanagement.tcp.port = {self._management}\n"
            "log.console = true\nlog.console.level = warning\nlog.file = false\n"
        )

    @property
    def url(self) -> str:
        """The virtual host `/`."""
        return self.vhost("%2F")

    def vhost(self, name: str) -> str:
        """The address of one of its virtual hosts."""
        return f"amqp://guest:guest@{LOOPBACK}:{self.port}/{name}"

    def ask(self, method: str, path: str, document: object = None) -> object:
        """What the management API answers at /api/<path>. Raises OSError."""
        return ask_rabbit(self.management_url, method, path, document)

    @property
    def management_url(self) -> str:
        """Where the management API listens."""
        return f"http://{LOOPBACK}:{self._management}/api/"

    def start(self) -> None:
        """Run the port mapper and the broker."""
        # A mapper of our own: one started by Erlang would be a daemon that outlives the tests.
        argv = ["setpriv", "--pdeathsig", "KILL", "epmd"]
        self._mapper = subprocess.Popen(
            [*argv, "-port", str(self._mapper_port), "-address", LOOPBACK],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        super().start()

    def _end(self, how: signal.Signals) -> None:
        super()._end(how)
        if self._mapper is not None:
            self._mapper.kill()
            self._mapper.wait()
            self._mapper = None

    def _command(self) -> list[str]:
        return [str(self.PROGRAM)]

    def _environment(self) -> dict[str, str]:
        idle = "+sbwt none +sbwtdcpu none +sbwtdio none"  # do not spin where cores are few
        return super()._environment() | {
            "RUNNING_UNDER_SYSTEMD": "1",  # the script then becomes the broker, instead of a parent
            "ERL_EPMD_PORT": str(self._mapper_port),
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "RABBITMQ_NODENAME": f"fleetjobs-{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(self._peers),
            "RABBITMQ_CONFIG_FILE": str(self.directory / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": str(self.directory / "no-such-file"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.directory / "plugins"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(self.directory / "generated"),
            "RABBITMQ_MNESIA_BASE": str(self.directory / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.directory / "logs"),
            "RABBITMQ_PID_FILE": str(self.directory / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                f"+S 2:2 +A 8 {idle} -kernel inet_dist_use_interface {{127,0,0,1}}"
            ),
        }

    def _answers(self) -> bool:
        with socket.create_connection((LOOPBACK, self.port), timeout=1) as connection:
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            if not connection.recv(8):
                return False
        return bool(self.ask("GET", "overview"))


def ask_rabbit(management: str, method: str, path: str, document: object = None) -> object:
    """What a management API answers, read as JSON; None for an empty body. Raises OSError."""
    secret = base64.b64encode(b"guest:guest").decode()
    headers = {"Authorization": f"Basic {secret}", "Content-Type": "application/json"}
    body = None if document is None else json.dumps(document).encode()
    request = Request(management + path, data=body, headers=headers, method=method)  # noqa: S310  our own loopback address
    with urlopen(request, timeout=10) as response:  # noqa: S310  our own loopback address
        text = response.read()
    return json.loads(text) if text else None
