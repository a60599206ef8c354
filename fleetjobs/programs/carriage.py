"""Carriage: everything that an installation knows, out of its database and into another one.

    fj export --all [--move] [--config FILE] > d.json
    fj import d.json [--config FILE]

It works on the database itself, so it needs the server's settings and no token.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TextIO

from fleetjobs import __version__
from fleetjobs.clocks import now
from fleetjobs.control.relay import Relay
from fleetjobs.errors import Conflict, Fault, InvalidDocument, InvalidSetting
from fleetjobs.programs.arguments import Parser
from fleetjobs.programs.settings import ServerSettings, load_settings
from fleetjobs.seeds.nightly import MAINTENANCE
from fleetjobs.store.carrying import (
    check_empty,
    export_lines,
    import_lines,
    read_head,
    revision,
)
from fleetjobs.store.database import Database
from fleetjobs.store.leases import RELAY, Switch, switch_on

WHO = "fj export"


def export(database: Database, *, move: bool, at: datetime) -> Iterator[str]:
    """Everything, line by line; with `move`, this installation hands nothing over from now on."""
    if move:
        told = f"everything was moved to another installation at {at:%Y-%m-%d %H:%M:%S} UTC"
        relay = Relay(database, lambda: at)
        relay.pause(WHO, told)
        relay.stop(WHO, told)
    head = {"fleetjobs": __version__, "moved": move, "exported_at": at.isoformat()}
    with database.reading() as connection:
        yield from export_lines(connection, head)


def take(database: Database, lines: Iterator[str], *, at: datetime) -> str:
    """Put everything into an empty database; what there is to say.

    What was not moved may still be at work elsewhere: then nothing is handed over before somebody
    says so. Raises Conflict, InvalidDocument; then nothing was changed.
    """
    head = read_head(lines)
    database.migrate()
    with database.transaction() as connection:
        present = revision(connection)
        if head.get("revision") != present:
            raise Conflict(
                f"it was exported at revision {head.get('revision')}, and this version has"
                f" {present}: export and import with the same version, then upgrade"
            )
        check_empty(connection, MAINTENANCE)
        done = import_lines(connection, lines)
        moved = bool(head.get("moved"))
        if not moved:
            why = "imported from an installation that may still be at work"
            switch_on(connection, RELAY, Switch(at=at, by="fj import", message=why))
    said = ", ".join(f"{done[name]} {name}" for name in ("orgs", "accounts", "nodes", "jobs"))
    said += f", {done['schedules']} schedules and {done['templates']} templates were imported."
    if not moved:
        said += (
            "\nNothing is handed over yet: end the old coordinators, then `fj coordinator resume`."
        )
    return said


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = Parser(prog="fj", description="Carry everything into another installation.")
    commands = parser.add_subparsers(dest="command", required=True)
    where = Parser(add_help=False)
    where.add_argument("--config", type=Path, help="the server's settings, TOML")
    out = commands.add_parser("export", parents=[where], help="write everything to standard output")
    out.add_argument("--all", action="store_true", required=True, help="everything")
    out.add_argument(
        "--move", action="store_true", help="and let this installation hand nothing over any more"
    )
    into = commands.add_parser("import", parents=[where], help="take everything that was exported")
    into.add_argument("file", help="what `fj export` wrote; - is standard input")
    return parser


def run(options: argparse.Namespace, out: TextIO) -> None:
    """Do what was asked. Raises Fault."""
    settings = load_settings(ServerSettings, options.config, os.environ)
    database = Database.open(settings.database)
    try:
        if options.command == "export":
            out.writelines(export(database, move=options.move, at=now()))
        elif options.file == "-":
            out.write(take(database, iter(sys.stdin), at=now()) + "\n")
        else:
            with Path(options.file).open(encoding="utf-8") as file:
                out.write(take(database, iter(file), at=now()) + "\n")
    except UnicodeDecodeError:
        raise InvalidDocument(f"{options.file}: it is not UTF-8") from None
    except OSError as error:
        raise InvalidSetting(f"{options.file}: cannot be read: {error.strerror}") from None
    finally:
        database.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit status."""
    options = make_parser().parse_args(arguments)
    try:
        run(options, sys.stdout)
    except Fault as fault:
        sys.stderr.write(f"fj {options.command}: {fault}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
