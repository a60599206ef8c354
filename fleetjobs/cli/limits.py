"""`fj limit`: how many runs of an action may be at work at once."""

import click

from fleetjobs.cli.columns import Column, draw
from fleetjobs.cli.commands import group
from fleetjobs.cli.documents import in_json
from fleetjobs.cli.exits import EPILOG, Exit
from fleetjobs.cli.options import json_option
from fleetjobs.cli.screen import line, stderr, stdout
from fleetjobs.cli.session import fleet, program
from fleetjobs.client.replies import Document
from fleetjobs.limits import MOST, Scope

SET = """\
Let no more runs of an action be at work at once; who finds no slot waits in line.

[bold]Examples[/]

\b
  fj limit set package.update 20               in the whole fleet
  fj limit set package.update 5 --scope org    in each org by itself
  fj limit set backup.run 1 --scope node       on each node by itself
  fj limit set backup.run 2 --scope node --name storage1
"""
_action = click.argument("action", metavar="AGENT.ACTION")
_scope = click.option(
    "--scope",
    type=click.Choice([scope.value for scope in Scope]),
    default=str(Scope.FLEET),
    help="What is counted together: the fleet, each org, or each node.",
)
_name = click.option("--name", metavar="NAME", help="Of one org or node alone, not of each.")


@group(epilog=EPILOG)
def limit() -> None:
    """Say how many runs of an action may be at work at once."""


@limit.command("list", epilog=EPILOG)
@json_option
def list_(*, as_json: bool) -> int:
    """List the limits, set by admins or declared by agents, and how much of each is used."""
    found = fleet().transport.get("limits")
    _show(found, as_json=as_json)
    if not found["items"] and not as_json:
        stderr().write(f"Nothing is limited; `{program()} limit set --help` tells how.")
    return Exit.OK


@limit.command("set", help=SET, epilog=EPILOG)
@_action
@click.argument("number", type=click.IntRange(1, MOST))
@_scope
@_name
@json_option
def set_(action: str, number: int, *, scope: str, name: str | None, as_json: bool) -> int:
    """Let no more runs of an action be at work at once."""
    wish = {"max_parallel": number, "scope": scope, "name": name}
    _show(fleet().tell("limits", action, method="PUT", wish=wish), as_json=as_json)
    return Exit.OK


@limit.command(epilog=EPILOG)
@_action
@_scope
@_name
@json_option
def delete(action: str, *, scope: str, name: str | None, as_json: bool) -> int:
    """Take a limit off; who waits in line goes on."""
    query = [("scope", scope), ("name", name)]
    transport = fleet().transport
    found: Document = transport.send("DELETE", "limits", action, body=b"", query=query)
    if not as_json:
        stdout().write(f"Deleted: {line(action)} ({line(scope)})")
    _show(found, as_json=as_json)
    return Exit.OK


def _show(found: Document, *, as_json: bool) -> None:
    screen = stdout()
    if as_json:
        screen.write(in_json(found))
        return
    columns = [
        Column("action", "bold"),
        Column("counts"),
        Column("most", right=True),
        Column("at work", right=True),
        Column("in line", right=True),
        Column("by"),
    ]
    rows = [
        [
            item["action"],
            f"{_each(item)} {item['name'] or ''}".strip(),
            item["max_parallel"],
            item["at_work"],
            item["in_line"],
            item["by"] or "the nodes themselves",
        ]
        for item in found["items"]
    ]
    if rows:
        draw(screen, columns, rows)


def _each(item: Document) -> str:
    alone = item["name"] or item["scope"] == Scope.FLEET
    return str(item["scope"]) if alone else f"each {item['scope']}"
