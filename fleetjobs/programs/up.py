"""Up: a whole fleet on this machine, with nothing installed as a service.

    python -m fleetjobs.programs.up [--nodes 3] [--state DIRECTORY] [--broker URL] ...

Broker, server, coordinator, nodes and Flower are its children; it starts again what dies and stops
everything in order. It has one thread and imports little, because runner hosts are forked from it.
"""

import argparse
import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fleetjobs.errors import Fault, InvalidSetting, Unavailable
from fleetjobs.nodes import CONTROLLER
from fleetjobs.programs.arguments import Parser, port
from fleetjobs.programs.embedded import EmbeddedBroker, free_port, prepare_broker, wait_until_ready
from fleetjobs.programs.family import Child, Family, Stop, module, program
from fleetjobs.programs.hosts import raise_hosts
from fleetjobs.programs.logs import set_up_logs
from fleetjobs.programs.moorings import free_or_refuse, hold, reach_broker
from fleetjobs.programs.premises import (
    Premises,
    default_state,
    identities,
    prepare,
    write_settings,
)
from fleetjobs.programs.readiness import wait_for_fleet

BROKER, HOSTS, DESK, WORKERS, FACES = range(5)  #: stages: stopped from the last to the first
NODES_MAX = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What kind of fleet is wanted."""

    premises: Premises
    nodes: tuple[str, ...]
    broker: str | None  # URL; None: embedded
    database: str | None  # URL; None: embedded
    port: int  # of the server
    flower_port: int | None  # None: no Flower

    @property
    def machines(self) -> tuple[str, ...]:
        """The nodes, and the server's own."""
        return (*self.nodes, CONTROLLER)


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(
        prog="fj up", description="Start a whole fleet on this machine; ctrl-C stops it."
    )
    parser.add_argument("--nodes", type=int, default=3, metavar="N", help="how many (%(default)s)")
    parser.add_argument("--state", type=Path, metavar="DIR", help="where it is kept")
    parser.add_argument("--broker", metavar="URL", help="RabbitMQ or Redis (an embedded Redis)")
    parser.add_argument("--database", metavar="URL", help="PostgreSQL or SQLite (SQLite)")
    parser.add_argument("--port", type=port, default=8800, help="of the server (%(default)s)")
    parser.add_argument(
        "--flower", action=argparse.BooleanOptionalAction, default=True, help="start Flower"
    )
    parser.add_argument(
        "--flower-port", type=port, default=5555, metavar="PORT", help="of Flower (%(default)s)"
    )
    return parser


def read_wish(arguments: Sequence[str] | None, environment: Mapping[str, str]) -> Wish:
    """What the command line asks for. Raises InvalidSetting."""
    options = make_parser().parse_args(arguments)
    if not 1 <= options.nodes <= NODES_MAX:
        raise InvalidSetting(f"--nodes {options.nodes}: 1 to {NODES_MAX} can be started here")
    state = options.state or default_state(environment)
    return Wish(
        premises=Premises(state.expanduser().resolve()),
        nodes=tuple(identities(options.nodes)),
        broker=options.broker,
        database=options.database,
        port=options.port or free_port(),
        flower_port=(options.flower_port or free_port()) if options.flower else None,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Keep the fleet up until ctrl-C or SIGTERM; the exit status."""
    set_up_logs("WARNING")
    try:
        wish = read_wish(arguments, os.environ)
        forget_settings(os.environ)
        with hold(wish.premises.lock) as lock:
            return _run(wish, lock)
    except Fault as fault:
        sys.stderr.write(f"fj up: {fault}\n")
        return 1


def forget_settings(environment: MutableMapping[str, str]) -> None:
    """Take out what would reach the fleet's programs as settings, such as the owner's own key."""
    for name in list(environment):
        if name.startswith("FLEETJOBS_") and not name.startswith("FLEETJOBS_CRASH_"):
            del environment[name]


def _run(wish: Wish, lock: int) -> int:
    free_or_refuse(wish.port, "--port")
    if wish.flower_port is not None:
        free_or_refuse(wish.flower_port, "--flower-port")
    if wish.broker:
        reach_broker(wish.broker)
    prepare(wish.premises, wish.nodes)
    family, stop = Family(), Stop()
    try:
        _start(wish, family, lock)
        if wait_for_fleet(wish.premises, wish.machines, family, stop):
            _say(banner(wish))
        while not stop.asked:
            family.watch(within=60.0)
    finally:
        _say("stopping …")
        family.stop(lambda: stop.pressed)
    _say("stopped; jobs and results are kept in " + str(wish.premises.root))
    return 0


def _start(wish: Wish, family: Family, lock: int) -> None:
    """Each part as soon as what it needs is there."""
    premises = wish.premises
    embedded = None if wish.broker else prepare_broker(premises.broker)
    broker = embedded.url if embedded else str(wish.broker)
    database = wish.database or premises.database_url
    write_settings(premises, wish.nodes, broker=broker, database=database, port=wish.port)
    if embedded:
        _start_broker(premises, family, embedded)
    places = raise_hosts(premises, wish.machines, family, stage=HOSTS, private=[lock])
    nursery = Child(
        name="nursery",
        run=_nursery(premises, wish.machines, places),
        log=premises.log("nursery"),
        stage=WORKERS,
        patience_s=20.0,  # it waits for its workers, ten seconds at most
    )
    family.add(nursery)
    for descriptor in places.values():
        os.close(descriptor)
    places.clear()  # a second nursery starts without hosts; its workers see to them
    _found(wish)
    for name in ("server", "coordinator"):
        settings = str(premises.settings(name))
        run = module(f"fleetjobs.programs.{name}", "--config", settings)
        family.add(Child(name=name, run=run, log=premises.log(name), stage=DESK))
    if wish.flower_port is not None:
        arguments = ("--config", settings, f"--port={wish.flower_port}")
        run = module("fleetjobs.programs.flower", *arguments)
        family.add(Child(name="flower", run=run, log=premises.log("flower"), stage=FACES))


def _start_broker(premises: Premises, family: Family, embedded: EmbeddedBroker) -> None:
    run = program(*embedded.command)
    family.add(Child(name="broker", run=run, log=premises.log("broker"), stage=BROKER))
    wait_until_ready(embedded)


def _nursery(
    premises: Premises, nodes: Sequence[str], places: Mapping[str, int]
) -> Callable[[], None]:
    def run() -> None:
        for descriptor in places.values():
            os.set_inheritable(descriptor, True)  # noqa: FBT003  its only argument
        settings = {name: str(premises.node_settings(name)) for name in nodes}
        words = [f"{places[name]}:{settings[name]}" if places else settings[name] for name in nodes]
        logs = str(premises.log("nursery").parent)
        module("fleetjobs.programs.nursery", "--logs", logs, *words)()

    return run


def _found(wish: Wish) -> None:
    """Prepare the database, in a process that takes SQLAlchemy with it when it goes."""
    argv = [sys.executable, "-P", "-m", "fleetjobs.programs.founding"]
    argv += [str(wish.premises.root), str(wish.port), *wish.nodes]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"the database cannot be prepared: {done.stderr.strip()[-2000:]}")
    if done.stdout.strip():
        _say(done.stdout.strip())


def banner(wish: Wish) -> str:
    """What there is, and what to try."""
    premises = wish.premises
    names = " ".join(wish.nodes[:5]) + (" …" if len(wish.nodes) > 5 else "")  # noqa: PLR2004
    lines = [
        f"A fleet of {len(wish.nodes)} is up: {names}",
        "",
        f"  API     http://127.0.0.1:{wish.port}/api/v1/docs",
        *([f"  Flower  http://127.0.0.1:{wish.flower_port}"] if wish.flower_port else []),
        f"  state   {premises.root}, logs in {premises.log('up').parent}",
        "",
        "In another terminal:",
        "",
    ]
    if premises.root != default_state(os.environ):
        lines.append(f"  export FLEETJOBS_CONFIG={premises.client}")
    lines += [
        "  fj ping",
        "  fj rpc package status name=bash",
        "  fj rpc rpcutil get_fact fact=role -C web",
        "",
        "ctrl-C stops it; what runs on its nodes goes on, and is told at the next start.",
    ]
    return "\n".join(lines)


def _say(text: str) -> None:
    with contextlib.suppress(BrokenPipeError):  # whoever read may be gone; the fleet goes on
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
