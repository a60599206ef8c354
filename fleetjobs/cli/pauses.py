"""`fj pause`, `fj resume`, `fj drain`: begin nothing, begin again, wait until all has ended."""

from collections.abc import Callable
from datetime import timedelta
from time import monotonic, sleep
from typing import Any, TypeVar

import click

from fleetjobs.cli.commands import command
from fleetjobs.cli.complete import node_names
from fleetjobs.cli.documents import in_json
from fleetjobs.cli.exits import EPILOG, Exit
from fleetjobs.cli.options import json_option
from fleetjobs.cli.screen import line, stderr, stdout
from fleetjobs.cli.session import fleet, program
from fleetjobs.cli.words import Duration
from fleetjobs.client.replies import Document

PAUSE = """\
Begin nothing: jobs are accepted and kept, and what is at work goes on.

What nodes have and have not begun is asked back. It holds until `fj resume`, whatever is
restarted meanwhile.

[bold]Examples[/]

\b
  fj pause --all --message 'database upgrade'
  fj pause --node web1
"""
DRAIN = """\
Begin nothing, and wait until what is at work has ended.

Exit code 0: nothing is at work any more; 2: the time was over before. It stays paused either
way, until `fj resume`.

[bold]Examples[/]

\b
  fj drain --node web1 --timeout 30m && ssh web1 reboot
"""
C = TypeVar("C", bound=Callable[..., Any])
LOOK_EVERY_S = 1.0  #: how much is left, while it drains


def _place_options(command: C) -> C:
    for option in (
        click.option("--node", metavar="NODE", help="This node.", shell_complete=node_names),
        click.option("--org", metavar="ORG", help="This org."),
        click.option("--all", "everything", is_flag=True, help="The whole fleet."),
    ):
        command = option(command)
    return command


def _place(given: dict[str, Any]) -> str:
    """What is meant, as the interface names it."""
    org, node = given.pop("org"), given.pop("node")
    named = ["all"] if given.pop("everything") else []
    named += [f"org:{org}"] if org else []
    named += [f"node:{node}"] if node else []
    if len(named) != 1:
        raise click.UsageError("say what is meant: --all, --org ORG or --node NODE")
    return named[0]


_message = click.option("--message", default="", metavar="TEXT", help="Why; shown in fj status.")


@command(help=PAUSE, epilog=EPILOG)
@_place_options
@_message
@json_option
def pause(*, message: str, as_json: bool, **given: Any) -> int:
    """Begin nothing: jobs are accepted and kept, and what is at work goes on."""
    place = _place(given)
    found = fleet().tell("pauses", place, method="PUT", wish={"message": message})
    if as_json:
        stdout().write(in_json(found))
    else:
        stdout().write(f"Paused: {line(place)}. {_left(found)}")
        stderr().write(f"`{program()} resume {_option(place)}` lets it begin again.")
    return Exit.OK


@command(epilog=EPILOG)
@_place_options
@json_option
def resume(*, as_json: bool, **given: Any) -> int:
    """Begin again what has waited."""
    place = _place(given)
    found = fleet().transport.send("DELETE", "pauses", place, body=b"")
    stdout().write(in_json(found) if as_json else f"Resumed: {line(place)}")
    return Exit.OK


@command(help=DRAIN, epilog=EPILOG)
@_place_options
@_message
@click.option(
    "-t",
    "--timeout",
    type=Duration(),
    metavar="DURATION",
    help="Wait so long: 30m, 2h; without it, until nothing is at work.",
)
@json_option
def drain(*, message: str, timeout: timedelta | None, as_json: bool, **given: Any) -> int:
    """Begin nothing, and wait until what is at work has ended."""
    place, asked = _place(given), fleet()
    found = asked.tell("pauses", place, method="PUT", wish={"message": message})
    deadline = None if timeout is None else monotonic() + timeout.total_seconds()
    said = ""
    while not found["drained"] and (deadline is None or monotonic() < deadline):
        if not as_json and (text := _left(found)) != said:
            said = text
            screen = stderr()
            screen.write(text)
            screen.flush()
        sleep(LOOK_EVERY_S)
        found = asked.transport.get("pauses", place)
    if as_json:
        stdout().write(in_json(found))
    else:
        end = "Drained" if found["drained"] else f"Not drained in time, {_left(found)}"
        stdout().write(f"{end}: {line(place)} stays paused.")
    return Exit.OK if found["drained"] else Exit.FAILED


def _left(found: Document) -> str:
    at_work, with_nodes, kept = found["at_work"], found["with_nodes"], found["waiting"]
    return f"{at_work} at work, {with_nodes} with nodes, {kept} kept"


def _option(place: str) -> str:
    kind, _, name = place.partition(":")
    return "--all" if kind == "all" else f"--{kind} {line(name)}"
