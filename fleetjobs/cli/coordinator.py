"""`fj coordinator`: the program; and what it is told through the server."""

from typing import Any

import click

from fleetjobs.cli.columns import Column
from fleetjobs.cli.commands import Group, group
from fleetjobs.cli.documents import in_json
from fleetjobs.cli.exits import EPILOG, Exit
from fleetjobs.cli.listing import show_list
from fleetjobs.cli.options import json_option
from fleetjobs.cli.programs import ProgramGroup, passed_on
from fleetjobs.cli.screen import line, stdout
from fleetjobs.cli.session import fleet, program
from fleetjobs.cli.words import local
from fleetjobs.client.replies import Document

COORDINATOR = """\
Tell the coordinator something; without a command: run one.

[bold]Examples[/]

\b
  fj coordinator pause --relay     accept jobs, and hand none over
  fj coordinator resume
  fj coordinator outbox list       what waits to be handed over
  fj coordinator check             for monitoring: 0 works, 1 paused, 2 away
  fj coordinator prune --dry-run   what is old; needs its settings: --config FILE
  fj coordinator --help-program    what the program takes
"""
WORKING, PAUSED = "working", "paused"


@group(cls=ProgramGroup, program="coordinator", help=COORDINATOR, epilog=EPILOG)
def coordinator() -> None:
    """The coordinator."""


@coordinator.command(epilog=EPILOG)
@click.option("--relay", is_flag=True, help="Hand nothing over to nodes: all there is to pause.")
@click.option("--message", default="", metavar="TEXT", help="Why; goes into the event log.")
@json_option
def pause(*, relay: bool, message: str, as_json: bool) -> int:  # noqa: ARG001  there is no other
    """Accept jobs and hand none over to nodes, until `resume`. What runs goes on."""
    found = fleet().tell("coordinator", "pause", wish={"message": message})
    return _tell(found, f"Paused: jobs are kept until `{program()} coordinator resume`.", as_json)


@coordinator.command(epilog=EPILOG)
@json_option
def resume(*, as_json: bool) -> int:
    """Hand over again what was kept while paused."""
    return _tell(fleet().tell("coordinator", "resume"), "Jobs are handed over again.", as_json)


@coordinator.command(epilog=EPILOG)
@click.option("--message", default="", metavar="TEXT", help="Why; goes into the event log.")
@json_option
def stop(*, message: str, as_json: bool) -> int:
    """Have all coordinators end. What runs on nodes runs on; start one to go on."""
    found = fleet().tell("coordinator", "stop", wish={"message": message})
    return _tell(found, "Told to stop; what runs on nodes runs on.", as_json)


@coordinator.command(epilog=EPILOG)
@json_option
def check(*, as_json: bool) -> int:
    """Say whether a coordinator works: 0 it does, 1 it is paused, 2 there is none."""
    found = fleet().coordinator()
    state = found["state"]
    holder = line(found.get("holder") or "nobody")
    _tell(found, f"{line(state)}: {holder} leads", as_json)
    if state == WORKING:
        return Exit.OK
    return Exit.ERROR if state == PAUSED else Exit.FAILED


coordinator.add_command(
    passed_on(
        "coordinator",
        "prune",
        "Forget what is old, now; with --dry-run name the jobs only. Needs its settings: --config.",
    )
)


@coordinator.group(cls=Group, epilog=EPILOG)
def outbox() -> None:
    """What waits to be handed over to nodes."""


@outbox.command("list", epilog=EPILOG)
@json_option
def list_(*, as_json: bool) -> int:
    """List the runs that wait to be handed over."""
    return show_list(
        {"items": list(fleet().outbox())},
        [Column("job", "bold"), Column("node"), Column("due")],
        lambda run: [run["job"], run["node"], local(run["due_at"])],
        as_json=as_json,
        if_none="Nothing waits to be handed over.",
    )


@outbox.command(epilog=EPILOG)
@json_option
def clear(*, as_json: bool) -> int:
    """Cancel every run that waits to be handed over."""
    found = fleet().tell("coordinator", "outbox", method="DELETE")
    number = found["cancelled"]
    return _tell(found, f"{number} {'run' if number == 1 else 'runs'} cancelled.", as_json)


def _tell(found: Document, text: str, as_json: Any) -> int:
    stdout().write(in_json(found) if as_json else text)
    return Exit.OK
