"""`fj node agents`: which agents there are, by which contract, and which are refused and why."""

import click

from fleetjobs.cli.columns import Column, draw
from fleetjobs.cli.commands import command
from fleetjobs.cli.complete import node_names
from fleetjobs.cli.documents import in_json
from fleetjobs.cli.exits import EPILOG, Exit
from fleetjobs.cli.screen import Screen, line, stderr, stdout
from fleetjobs.cli.session import fleet
from fleetjobs.client.fleet import Fleet
from fleetjobs.client.replies import Document

HELP = """\
Tell which agents a node has, or all nodes, and which it refused and why.

[bold]Examples[/]

\b
  fj node agents          all agents of the fleet, and what any node refused
  fj node agents web1     those of one node
"""


@command("agents", help=HELP, epilog=EPILOG)
@click.argument("node", metavar="[NODE]", required=False, shell_complete=node_names)
@click.option("--refused", is_flag=True, help="Only those that are refused.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def agents(node: str | None, *, refused: bool, as_json: bool) -> int:
    """Tell which agents there are."""
    asked = fleet()
    found = asked.node_agents(node) if node else _of_all(asked)
    if refused:
        found = {**found, "items": []}
    screen = stdout()
    if as_json:
        screen.write(in_json(found))
        return Exit.OK
    if found["items"]:
        _table(screen, found["items"], of_one=node is not None)
    for each in found["refused"]:
        where = f"{each['node']}: " if "node" in each else ""
        title = screen.paint(line(f"{where}{each['name']} is refused:"), "yellow")
        screen.write(f"{title} {line(each['reason'])}")
    if not found["items"] and not found["refused"]:
        stderr().write("No agent is refused." if refused else "There are no agents yet.")
    return Exit.OK


def _of_all(asked: Fleet) -> Document:
    """The agents of the fleet, and each node's refusals."""
    refused = [
        {"node": node["identity"], "name": name, "reason": reason}
        for node in asked.nodes()
        for name, reason in sorted(node["refused"].items())
    ]
    return {"items": asked.agents(), "refused": refused}


def _table(screen: Screen, found: list[Document], *, of_one: bool) -> None:
    columns = [
        Column("agent", "bold"),
        Column("version"),
        Column("provider"),
        Column("actions" if of_one else "nodes", right=not of_one, wraps=of_one),
        Column("description", wraps=True),
    ]
    rows = [
        [
            each["name"],
            each["version"],
            each["provider"],
            " ".join(each["actions"]) if of_one else each["nodes"],
            each["description"],
        ]
        for each in found
    ]
    draw(screen, columns, rows)
