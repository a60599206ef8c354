"""`fj node`: the nodes of the fleet, and the program that makes this machine one of them."""

import json
from typing import Any

import click

from fleetjobs.cli.columns import Column, draw
from fleetjobs.cli.commands import command, group
from fleetjobs.cli.complete import node_names
from fleetjobs.cli.documents import in_json
from fleetjobs.cli.enrolling import enroll, remove
from fleetjobs.cli.exits import EPILOG, Exit
from fleetjobs.cli.node_agents import agents
from fleetjobs.cli.node_warnings import tell_warnings
from fleetjobs.cli.programs import ProgramGroup, passed_on
from fleetjobs.cli.screen import Screen, clean, line, stderr, stdout
from fleetjobs.cli.session import fleet
from fleetjobs.cli.words import ago, local
from fleetjobs.client.fleet import NOT_FOUND, Fleet, nearest
from fleetjobs.client.replies import Document
from fleetjobs.clocks import now as clock_now
from fleetjobs.errors import NotFound, Problem

NODE = """\
List nodes, look at one; without a command: run this machine's node.

[bold]Examples[/]

\b
  fj node list                list all nodes, silent ones too
  fj node show web1           facts, classes and agents of one
  fj node enroll web1 --verify-key KEY   let one in
  fj node remove web1         take one off; what it had to do has failed
  fj node key                 make this machine's key, and print its public half
  fj node agents              agents by contract, and what nodes refused
  fj node jobs                what is on this machine's disk; needs no server
  fj node run-file FILE       do a request that lies in a file, here and now
  fj node --help-program      what the program takes
  fj node --settings FILE     be a node, until ended
"""


@group(cls=ProgramGroup, program="node", help=NODE, epilog=EPILOG)
def node() -> None:
    """Nodes."""


@node.command("list", epilog=EPILOG)
@click.option("--silent", is_flag=True, help="Only those that were not heard of lately.")
@click.option("-q", "--quiet", is_flag=True, help="Only their names.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def list_(*, silent: bool, quiet: bool, as_json: bool) -> int:
    """List all nodes: whether they live, what they do, what they are."""
    nodes = [found for found in fleet().nodes() if not (silent and found["alive"])]
    screen = stdout()
    if as_json:
        screen.write(in_json({"items": nodes}))
    elif quiet:
        for found in nodes:
            screen.write(line(found["identity"]))
    elif nodes:
        _table(screen, nodes)
    else:
        stderr().write("There is no silent node." if silent else "There are no nodes yet.")
    return Exit.OK


def _table(screen: Screen, nodes: list[Document]) -> None:
    now = clock_now()
    columns = [
        Column("node", "bold"),
        Column("state", lambda text: "green" if text == "alive" else "yellow"),
        Column("seen"),
        Column("running", right=True),
        Column("waiting", right=True),
        Column("version"),
        Column("classes", wraps=True),
        Column("agents", wraps=True),
    ]
    rows = [
        [
            found["identity"],
            _state(found),
            ago(found["seen_at"], now),
            found["running"],
            found["waiting"],
            found["software"],
            " ".join(found["classes"]),
            " ".join(sorted(found["agents"])),
        ]
        for found in nodes
    ]
    draw(screen, columns, rows)
    tell_warnings(screen, [item for found in nodes for item in found["warnings"]])


def _state(node: Document) -> str:
    """In a word; what is wrong with a living node is told below."""
    if not node["alive"]:
        return "silent"
    return "doubtful" if node["warnings"] else "alive"


@command("show", epilog=EPILOG)
@click.argument("node", metavar="NODE", shell_complete=node_names)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def show(node: str, *, as_json: bool) -> int:
    """Show what is known of a node: facts, classes, agents, and when it was heard of."""
    found = _found(fleet(), node)
    screen = stdout()
    if as_json:
        screen.write(in_json(found))
        return Exit.OK
    now = clock_now()
    state = screen.paint("alive", "green") if found["alive"] else screen.paint("silent", "yellow")
    screen.write(f"{screen.paint(line(found['identity']), 'bold')}  {state}")
    screen.write()
    for title, value in (
        ("org", found["org"]),
        ("seen", f"{ago(found['seen_at'], now)}  {local(found['seen_at'])}".strip()),
        ("started", f"{ago(found['started_at'], now)}  {local(found['started_at'])}".strip()),
        ("version", found["software"] or "unknown"),
        ("runs", f"{found['running']} running, {found['waiting']} waiting{_slots(found)}"),
        ("classes", " ".join(found["classes"]) or "none"),
        ("agents", ", ".join(f"{k} {v}" for k, v in sorted(found["agents"].items())) or "none"),
    ):
        screen.write_folded(f"   {title:>7}: {line(value)}", 12)
    tell_warnings(screen, found["warnings"])
    screen.write()
    screen.write(screen.paint("Facts", "bold"))
    screen.write()
    for text in _facts(found["facts"]):
        screen.write(f"   {text}")
    return Exit.OK


def _slots(node: Document) -> str:
    return f", {node['slots']} at once" if node["slots"] else ""


node.add_command(show)
node.add_command(enroll)
node.add_command(remove)
node.add_command(
    passed_on("node", "key", "Make this machine's key if it has none; print its public half.")
)
node.add_command(agents)
node.add_command(
    passed_on("node", "jobs", "List the jobs on this machine's disk; needs no server, no broker.")
)
node.add_command(
    passed_on("node", "run-file", "Do the request in a file, here and now, as the node would.")
)


def _found(asked: Fleet, name: str) -> Document:
    try:
        return asked.node(name)
    except Problem as problem:
        if problem.status != NOT_FOUND:
            raise
        known = [found["identity"] for found in asked.nodes()]
    raise NotFound(f"there is no node {name!r}{nearest(name, known)}")


def _facts(facts: dict[str, Any], indent: str = "") -> list[str]:
    rows = []
    for name, value in sorted(facts.items()):
        if isinstance(value, dict) and value:
            rows += [f"{indent}{line(name)}:", *_facts(value, indent + "   ")]
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            rows.append(f"{indent}{line(name)}: {' '.join(clean(text).split())}")
    return rows
