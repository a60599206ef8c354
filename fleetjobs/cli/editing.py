"""`fj job edit`: change what was asked for before it begins."""

from datetime import datetime, timedelta
from typing import Any

import click

from fleetjobs.cli.commands import command
from fleetjobs.cli.complete import node_names
from fleetjobs.cli.conditions import show_times
from fleetjobs.cli.confirming import settled, tell
from fleetjobs.cli.documents import in_json
from fleetjobs.cli.exits import EPILOG, Exit
from fleetjobs.cli.find_job import find_job, job_argument
from fleetjobs.cli.options import json_option
from fleetjobs.cli.rpc import find_action
from fleetjobs.cli.screen import stdout
from fleetjobs.cli.session import fleet
from fleetjobs.cli.words import Duration
from fleetjobs.client.asking import utc_now
from fleetjobs.client.conditions import NEVER, Conditions, read_moment
from fleetjobs.client.editing import edit as change
from fleetjobs.targets import make_target
from fleetjobs.times import EXAMPLES


@command(epilog=EPILOG)
@job_argument
@click.argument("words", nargs=-1, metavar="[INPUT=VALUE]...")
@click.option("--at", metavar="TIME", help=f"Not before then: {EXAMPLES}.")
@click.option("--delay", type=Duration(), metavar="DURATION", help="So long from now.")
@click.option("--start-before", metavar="TIME|never", help="Too late from then on.")
@click.option(
    "--priority",
    type=click.IntRange(-100, 100),
    metavar="N",
    help="Where an action has a limit: the higher goes first, from -100 to 100.",
)
@click.option(
    "--splay",
    type=Duration(),
    metavar="DURATION",
    help="Its nodes begin spread over so long; 0s: all at once.",
)
@click.option(
    "-I",
    "--identity",
    "nodes",
    multiple=True,
    metavar="NODE",
    shell_complete=node_names,
    help="On these nodes instead; several may be given.",
)
@click.option(
    "-t",
    "--timeout",
    type=Duration(),
    default="5s",
    metavar="DURATION",
    help="How long nodes may take to confirm before we come back; 5 s by default.",
)
@json_option
def edit(
    job: str, words: tuple[str, ...], *, timeout: timedelta, as_json: bool, **given: Any
) -> int:
    """Change inputs, times, nodes or priority of a job that has not begun.

    Inputs that are not named stay as they are. A job that is moved may start as much later than
    its new time as it might have before. What already lies on a node is changed there when the
    node says so; if it began meanwhile, it stays as it was, and you are told.

    [bold]Examples[/]

    \b
    fj job edit last --at +2h
    fj job edit last name=openssl -I web1 -I web2
    """  # noqa: D301  \b is click's
    asked = fleet()
    found = find_job(asked, job)
    if not words and all(value in (None, ()) for value in given.values()):
        raise click.UsageError("nothing is to be changed; name an input, or give an option")
    at, end = _times(given)
    show_times(Conditions(not_before=at, start_before=end if isinstance(end, datetime) else None))
    action = find_action(asked, found["agent"], found["action"]) if words else None
    changed = change(
        asked,
        found,
        data=action.parse_some(words) if action else {},
        at=at,
        start_before=end,
        target=make_target(identities=given["nodes"]) if given["nodes"] else None,
        priority=given["priority"],
        splay=given["splay"],
    )
    changed = settled(asked, changed, timeout)
    if as_json:
        stdout().write(in_json(changed))
    else:
        tell(asked, "edit", changed)
    return Exit.OK


def _times(given: dict[str, Any]) -> tuple[datetime | None, datetime | str | None]:
    """From when on, and until when; NEVER: it is never too late."""
    now = utc_now()
    if given["at"] and given["delay"] is not None:
        raise click.UsageError("--at and --delay exclude each other")
    at = given["at"] if given["delay"] is None else given["delay"]
    end = given["start_before"]
    return (
        None if at is None else read_moment(at, now),
        end if end in (None, NEVER) else read_moment(end, now),
    )
