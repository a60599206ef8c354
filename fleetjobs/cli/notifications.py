"""`fj notification`: what is told to whom."""

import click

from fleetjobs.cli.columns import Column
from fleetjobs.cli.commands import group
from fleetjobs.cli.documents import in_json
from fleetjobs.cli.exits import EPILOG, Exit
from fleetjobs.cli.find_job import find_job
from fleetjobs.cli.listing import show_list
from fleetjobs.cli.options import json_option
from fleetjobs.cli.screen import stdout
from fleetjobs.cli.session import fleet, program
from fleetjobs.cli.words import local

ABOUT = """\
See what is told by mail and to webhooks, and have it told.

Schedules tell of failure and recovery: `fj schedule create … --notify mail:ops@example.org`.
Jobs tell what was wished for: `fj submit … --notify mail:ops@example.org --on failure`.

[bold]Examples[/]

\b
  fj notification test mail:ops@example.org
  fj notification wish --to mail:ops@example.org --on failure,attention
  fj notification wish last --to webhook:https://example.org/hook --on success,duration:10m
  fj notification list --state failed
"""
_to = click.option("--to", multiple=True, required=True, metavar="SINK", help="mail:…, webhook:…")
_on = click.option(
    "--on",
    default="failure,attention",
    metavar="TOPICS",
    help="start, success, failure, attention, duration:10m, report (what the fleet finds out about "
    "itself each day); failure,attention by default.",
)


@group(help=ABOUT, epilog=EPILOG)
def notification() -> None:
    """See what is told by mail and to webhooks, and have it told."""


@notification.command("list", epilog=EPILOG)
@click.option("--state", type=click.Choice(["waiting", "sent", "failed"]), help="Only those.")
@click.option("-n", "--limit", type=click.IntRange(1, 500), default=50, help="So many; 50.")
@json_option
def list_(*, state: str | None, limit: int, as_json: bool) -> int:
    """List what was told, or is still to be, the newest first."""
    query = [("limit", limit), ("state", state)]
    found = fleet().transport.get("notifications", query=query)
    columns = [
        *(Column("id", "bold"), Column("at"), Column("topic"), Column("to", wraps=True)),
        *(Column("job"), Column("state"), Column("tries", right=True)),
        Column("wrong", wraps=True),
    ]
    return show_list(
        found,
        columns,
        lambda item: [
            *(item["id"], local(item["created_at"]), item["topic"], item["to"]),
            *(item["job"], item["state"], item["tries"], item["error"]),
        ],
        as_json=as_json,
        if_none=f"Nothing was told; `{program()} notification --help` says how.",
    )


@notification.command(epilog=EPILOG)
@click.argument("name", metavar="ID")
@json_option
def retry(name: str, *, as_json: bool) -> int:
    """Send a notification once more, now; its id stays the same."""
    found = fleet().tell("notifications", name, "retry")
    stdout().write(in_json(found) if as_json else f"It is sent to {found['to']}.")
    return Exit.OK


@notification.command(epilog=EPILOG)
@click.argument("sink")
@json_option
def test(sink: str, *, as_json: bool) -> int:
    """Send a notification that says nothing, to see whether it comes."""
    found = fleet().tell("notifications", "test", wish={"to": sink})
    stdout().write(in_json(found) if as_json else found["id"])
    return Exit.OK


@notification.command(epilog=EPILOG)
@click.argument("job", required=False)
@_to
@_on
@json_option
def wish(job: str | None, *, to: tuple[str, ...], on: str, as_json: bool) -> int:
    """Wish to hear of a job; without one, as an admin, of all jobs of the org."""
    asked = fleet()
    wanted = {"to": list(to), "on": on} | (
        {} if job is None else {"job": find_job(asked, job)["id"]}
    )
    found = asked.tell("notifications", "wishes", wish=wanted)
    stdout().write(in_json(found) if as_json else found["id"])
    return Exit.OK


@notification.command(epilog=EPILOG)
@json_option
def wishes(*, as_json: bool) -> int:
    """List who wishes to hear of what."""
    found = fleet().transport.get("notifications", "wishes")
    columns = [
        *(Column("id", "bold"), Column("job"), Column("on"), Column("to", wraps=True)),
        Column("by"),
    ]
    return show_list(
        found,
        columns,
        lambda item: [
            *(item["id"], item["job"] or "all", ",".join(item["on"]), ", ".join(item["to"])),
            item["by"],
        ],
        as_json=as_json,
        if_none=f"Nobody wishes to hear of anything; see `{program()} notification wish`.",
    )


@notification.command(epilog=EPILOG)
@click.argument("name", metavar="ID")
def unwish(name: str) -> int:
    """Wish to hear no more."""
    fleet().transport.send("DELETE", "notifications", "wishes", name, body=b"")
    stdout().write(f"Nothing more is told for {name}.")
    return Exit.OK
