"""Flower on our broker: workers, actions, states and arguments, as users of Celery know it.

    python -m fleetjobs.programs.flower [--broker URL] [--port 5555] [--address 127.0.0.1] [...]

Further arguments are Flower's own. Nothing is kept on disk: the results database remembers.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from fleetjobs.errors import Fault, InvalidSetting
from fleetjobs.programs.arguments import Parser, port
from fleetjobs.programs.premises import Premises, default_state
from fleetjobs.programs.settings import CoordinatorSettings, load_settings


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(prog="fj flower", description=__doc__.split("\n")[0])
    parser.add_argument("--broker", help="URL; found in the coordinator's settings if left out")
    parser.add_argument("--config", type=Path, help="the coordinator's settings, TOML")
    parser.add_argument("--port", type=port, default=5555, help="to listen on (%(default)s)")
    parser.add_argument("--address", default="127.0.0.1", help="to listen on (%(default)s)")
    return parser


def find_broker(options: argparse.Namespace) -> str:
    """The broker's URL, from the first place that has one. Raises InvalidSetting."""
    named: str | None = options.broker or os.environ.get("FLEETJOBS_BROKER")
    if named:
        return named
    system_wide = Path("/etc/fleetjobs/coordinator.toml")
    places = [Premises(default_state(os.environ)).settings("coordinator"), system_wide]
    if options.config:
        return load_settings(CoordinatorSettings, options.config, {}).broker
    for path in places:
        if path.exists():
            return load_settings(CoordinatorSettings, path, {}).broker
    raise InvalidSetting("no broker is known: give --broker URL, or --config FILE")


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or ctrl-C; the exit status."""
    options, others = make_parser().parse_known_args(arguments)
    try:
        _serve(find_broker(options), options, others)
    except Fault as fault:
        sys.stderr.write(f"fj flower: {fault}\n")
        return 1
    return 0


def _serve(broker: str, options: argparse.Namespace, others: Sequence[str]) -> None:
    from celery import Celery

    from fleetjobs.broker.connections import transport_options

    app = Celery("fleetjobs", broker=broker)
    app.conf.update(
        accept_content=["json"],
        broker_transport_options=transport_options(broker),
        result_backend=None,
        task_create_missing_queues=False,
    )
    # Its API answers without a password, as its pages do; hence the loopback address.
    os.environ.setdefault("FLOWER_UNAUTHENTICATED_API", "true")
    place = [f"--address={options.address}", f"--port={options.port}"]
    # Flower would run a flowerconfig.py of whatever directory it is started in.
    app.start(["flower", f"--conf={os.devnull}", "--persistent=False", *place, *others])


if __name__ == "__main__":
    sys.exit(main())
