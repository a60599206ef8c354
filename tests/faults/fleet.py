"""A fleet that may be broken: each program a process of its own, broker and database private."""

import os
import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fleetjobs.client.fleet import Fleet as Client
from fleetjobs.client.profile import read_profile
from fleetjobs.client.transport import Transport
from fleetjobs.errors import Fault
from fleetjobs.node.process import is_alive
from fleetjobs.programs.founding import found
from fleetjobs.programs.premises import Premises, identities, prepare, write_settings
from fleetjobs.spool.attempts import Holder, RunDirectory
from fleetjobs.spool.spool import Spool
from tests.faults.parts import Part
from tests.faults.wires import Wire, Wires
from tests.processes import ServerProcess, free_port, wait_for
from tests.servers import Postgres, Rabbit, Redis

#: settings: a silent run is asked after, a minute in production; a node beats, 10 s in production
TIMES = {"server": {}, "coordinator": {"ASK_AFTER_S": "1"}, "node": {"BEAT_EVERY_S": "0.5"}}
AGENTS = Path(__file__).parent / "agents"  #: beside those that come with fleetjobs

RUNNER, PROGRAM = "runner", "program"

#: broker, and database if it is a server
STACKS: dict[str, tuple[type[ServerProcess], type[ServerProcess] | None]] = {
    "redis-sqlite": (Redis, None),
    "rabbit-postgres": (Rabbit, Postgres),
}


@dataclass(slots=True)
class Fleet:
    """The parts, and the two servers they lean on."""

    premises: Premises
    nodes: tuple[str, ...]
    broker: ServerProcess
    database: ServerProcess | None  # None: SQLite
    parts: dict[str, Part]
    wires: Wires | None = None  # between the programs and the two

    @property
    def server(self) -> Part:
        """The HTTP server."""
        return self.parts["server"]

    @property
    def coordinator(self) -> Part:
        """Dispatcher, collector and reaper."""
        return self.parts["coordinator"]

    @property
    def marks(self) -> Path:
        """Where the actions leave their marks."""
        return self.premises.root / "marks"

    @property
    def broker_url(self) -> str:
        """What the programs are told."""
        return self.broker.url

    def worker(self, node: str) -> Part:
        """The worker of a node."""
        return self.parts[node]

    def spool(self, node: str) -> Spool:
        """The files of a node."""
        return Spool(self.premises.node(node) / "spool")

    def wire(self, part: str, server: str = "broker") -> Wire:
        """Between a program and the `broker` or the `database`."""
        assert self.wires is not None
        return self.wires.of(part, server)

    def run_directory(self, job: str, node: str) -> RunDirectory | None:
        """What the node has of a job's first attempt."""
        for run in self.spool(node).runs():
            if run.key.job == job:
                return run
        return None

    def client(self) -> Client:
        """A new connection to the server."""
        return Client(Transport(read_profile(self.premises.client)))

    def is_ready(self) -> bool:
        """Whether the server answers and has heard of every node since this was asked first."""
        try:
            nodes = self.client().nodes()
        except Fault:
            return False
        return sum(node["agents"] != {} for node in nodes) == len(self.nodes)

    def wait_for_server(self) -> None:
        """Return once the server answers."""
        wait_for(self.is_ready, within=60.0, every=0.1)

    def heal(self) -> None:
        """Whatever is down comes up, whatever is paused goes on; returns once the server serves."""
        if self.wires is not None:
            self.wires.heal()
        for server in (self.broker, self.database):
            if server is not None and not server.is_alive:  # Redis ends itself on a full disk
                server.start()
        for part in self.parts.values():
            part.defuse()
            part.resume()
            if not part.is_alive:
                part.start()
        self.wait_for_server()

    def say(self) -> str:
        """The ends of all logs, for whoever has to find out."""
        return "\n".join(
            f"== {part.name}\n{part.log.read_text(errors='replace')[-1500:]}"
            for part in self.parts.values()
        )


@contextmanager
def raise_fleet(root: Path, stack: str, nodes: int = 2) -> Iterator[Fleet]:
    """A fleet on that stack, ready; gone at the end. Raises ServerMissing."""
    broker_kind, database_kind = STACKS[stack]
    with ExitStack() as opened:
        broker = opened.enter_context(broker_kind(root / "broker-server"))
        database = (
            opened.enter_context(database_kind(root / "database-server")) if database_kind else None
        )
        wires = Wires()
        opened.callback(wires.close)
        fleet = _lay_out(Premises(root / "fleet"), identities(nodes), broker, database, wires)
        opened.callback(_end, fleet)
        fleet.heal()
        yield fleet


def _lay_out(
    premises: Premises,
    nodes: Sequence[str],
    broker: ServerProcess,
    database: ServerProcess | None,
    wires: Wires,
) -> Fleet:
    port = free_port()
    prepare(premises, nodes)
    shutil.copytree(AGENTS, premises.root / "agents", dirs_exist_ok=True)
    write_settings(
        premises,
        nodes,
        broker=broker.url,
        database=database.url if database else premises.database_url,
        port=port,
    )
    found(premises, nodes, port=port, now=datetime.now(UTC))
    parts = [
        _part(premises, "server", "server", _wired(wires, "server", None, database)),
        _part(
            premises, "coordinator", "coordinator", _wired(wires, "coordinator", broker, database)
        ),
        *(_part(premises, node, "node", _wired(wires, node, broker, None)) for node in nodes),
    ]
    return Fleet(premises, tuple(nodes), broker, database, {it.name: it for it in parts}, wires)


def _part(premises: Premises, name: str, program: str, addresses: Mapping[str, str]) -> Part:
    """A program with our times, which talks to its servers by wires of its own."""
    prefix = f"FLEETJOBS_{program.upper()}_"
    settings = premises.node_settings(name) if program == "node" else premises.settings(name)
    told = {prefix + key: value for key, value in {**addresses, **TIMES[program]}.items()}
    return Part(name, f"fleetjobs.programs.{program}", settings, premises.log(name), told)


def _wired(
    wires: Wires, part: str, broker: ServerProcess | None, database: ServerProcess | None
) -> dict[str, str]:
    """Where the program finds its servers: settings."""
    servers = {"broker": broker, "database": database}
    return {
        name.upper(): server.url.replace(
            f":{server.port}/", f":{wires.lay(part, name, server.port).port}/"
        )
        for name, server in servers.items()
        if server is not None
    }


def _end(fleet: Fleet) -> None:
    for part in fleet.parts.values():
        if part.is_alive:
            part.resume()
            part.kill()
    for node in fleet.nodes:
        for run in fleet.spool(node).unsettled():
            for holder in at_work(run).values():
                with suppress(ProcessLookupError):
                    os.kill(holder.pid, signal.SIGKILL)


def at_work(run: RunDirectory) -> dict[str, Holder]:
    """The living processes of an attempt: its RUNNER, its PROGRAM."""
    program = run.program()
    holders = {RUNNER: run.holder(), PROGRAM: program.holder if program else None}
    return {role: holder for role, holder in holders.items() if holder and is_alive(holder)}
