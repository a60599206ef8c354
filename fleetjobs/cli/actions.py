"""`fj action list`: every action of every agent that nodes have."""

from fleetjobs.cli.columns import Column
from fleetjobs.cli.commands import group
from fleetjobs.cli.exits import EPILOG
from fleetjobs.cli.listing import show_list
from fleetjobs.cli.options import json_option
from fleetjobs.cli.session import fleet


@group(epilog=EPILOG)
def action() -> None:
    """Everything that can be asked of the fleet; `fj doc AGENT ACTION` tells more of one."""


@action.command("list", epilog=EPILOG)
@json_option
def list_(*, as_json: bool) -> int:
    """List every action of every agent that nodes have."""
    asked = fleet()
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
    columns = [
        Column("action", "bold"),
        Column("version"),
        Column("nodes", right=True),
        Column("description", wraps=True),
    ]
    return show_list(
        {"items": found},
        columns,
        lambda item: list(item.values()),
        as_json=as_json,
        if_none="No node has told of any agent yet.",
    )
