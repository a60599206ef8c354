"""`fj action list`: every action of every agent that nodes have."""

import rich_click as click

from fleetjobs.cli.columns import Column, draw
from fleetjobs.cli.documents import in_json
from fleetjobs.cli.exits import EPILOG, Exit
from fleetjobs.cli.options import json_option
from fleetjobs.cli.screen import stderr, stdout
from fleetjobs.cli.session import fleet


@click.group(cls=click.RichGroup, epilog=EPILOG)
def action() -> None:
    """Everything that can be asked of the fleet; `fj doc AGENT ACTION` tells more of one."""


@action.command("list", epilog=EPILOG)
@json_option
def list_(*, as_json: bool) -> int:
    """List every action of every agent that nodes have."""
    asked, screen = fleet(), stdout()
    found = [
        {
            "action": f"{agent['name']}.{declared['action']}",
            "version": agent["version"],
            "nodes": agent["nodes"],
            "description": declared.get("description", ""),
        }
        for agent in asked.agents()
        for declared in asked.agent(agent["name"])["interface"]["actions"]
    ]
    if as_json:
        screen.write(in_json({"items": found}))
    elif found:
        columns = [
            Column("action", "bold"),
            Column("version"),
            Column("nodes", right=True),
            Column("description", wraps=True),
        ]
        draw(screen, columns, [list(row.values()) for row in found])
    else:
        stderr().write("No node has told of any agent yet.")
    return Exit.OK
