"""`fj doc`: what agents there are, what their actions take and what they return."""

import json
from pathlib import Path
from typing import Any

import click

from fleetjobs.cli.columns import Column, draw
from fleetjobs.cli.commands import command
from fleetjobs.cli.complete import action_names, agent_names
from fleetjobs.cli.documents import in_json
from fleetjobs.cli.exits import EPILOG, Exit
from fleetjobs.cli.rpc import find_action, usage
from fleetjobs.cli.screen import Screen, line, stderr, stdout
from fleetjobs.cli.session import fleet, program
from fleetjobs.cli.words import span
from fleetjobs.client.asking import fetch_interface
from fleetjobs.errors import InvalidInterface
from fleetjobs.inputs import Input, InputType
from fleetjobs.interfaces import Action, Interface, read_interface

HELP = """\
Tell what agents there are, and what their actions take and return.

[bold]Examples[/]

\b
  fj doc                    all agents of the fleet
  fj doc package            its actions
  fj doc package install    one of them
  fj doc ./backup           an agent that lies here; needs no fleet
"""


@command(help=HELP, epilog=EPILOG)
@click.argument("agent", required=False, shell_complete=agent_names)
@click.argument("action", required=False, shell_complete=action_names)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document: the interface.")
@click.option("--markdown", is_flag=True, help="Print a page in Markdown, of a whole agent.")
def doc(agent: str | None, action: str | None, *, as_json: bool, markdown: bool) -> int:
    """Tell what agents there are."""
    screen = stdout()
    if agent is None:
        return _agents(screen, fleet().agents(), as_json=as_json)
    if "/" in agent or agent == ".":
        interface = read_local(Path(agent))
    else:
        asked = fleet()
        if action is not None:
            find_action(asked, agent, action)
        interface = fetch_interface(asked, agent)
    if action is not None:
        declared = interface.action(action)
        if as_json:
            screen.write(in_json(_of(interface, action)))
        else:
            _action(screen, declared)
        return Exit.OK
    if markdown:
        from fleetjobs.cli.doc_page import make_page

        screen.write(make_page(interface))
        return Exit.OK
    if as_json:
        screen.write(in_json(interface.document))
        return Exit.OK
    screen.write(f"{screen.paint(line(interface.name), 'bold')}  {line(interface.description)}")
    version = f"version {interface.version}, timeout {span(interface.timeout)}"
    screen.write(screen.paint(line(version), "dim"))
    for name in sorted(interface.actions):
        screen.write()
        _action(screen, interface.actions[name])
    return Exit.OK


def read_local(path: Path) -> Interface:
    """The interface of an agent that lies in that directory, or in that file.

    Raises InvalidInterface.
    """
    if path.is_dir():
        path = path.resolve() / f"{path.resolve().name}.json"
    try:
        return read_interface(json.loads(path.read_bytes()))
    except OSError as error:
        raise InvalidInterface(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise InvalidInterface(f"{path}: not JSON: {error}") from None


def _agents(screen: Screen, agents: list[Any], *, as_json: bool) -> int:
    if as_json:
        screen.write(in_json({"items": agents}))
    elif agents:
        columns = [
            Column("agent", "bold"),
            Column("version"),
            Column("nodes", right=True),
            Column("description", wraps=True),
        ]
        rows = [(a["name"], a["version"], a["nodes"], a["description"]) for a in agents]
        draw(screen, columns, rows)
        if screen.is_terminal:
            screen.write()
            screen.write(screen.paint(f"`{program()} doc AGENT` tells more of one.", "dim"))
    else:
        stderr().write("No node has told of any agent yet.")
    return Exit.OK


def _of(interface: Interface, action: str) -> Any:
    return next(found for found in interface.document["actions"] if found["action"] == action)


def _action(screen: Screen, action: Action) -> None:
    agent, name, *inputs = usage(action).split(" ")
    screen.write_folded(" ".join([screen.paint(f"{agent} {name}", "bold"), *inputs]), 6)
    screen.write_folded(f"   {line(action.description)}", 3)
    traits = [
        "quick, runs inside the worker" if action.inline else f"timeout {span(action.timeout)}",
        "may be repeated" if action.idempotent else "",
    ]
    screen.write("   " + screen.paint(", ".join(trait for trait in traits if trait), "dim"))
    if action.inputs:
        screen.write("   Inputs:")
        for found in action.inputs.values():
            secret = found.name in action.secrets
            name = screen.paint(line(found.name), "cyan")
            screen.write_folded(f"      {name}  {line(found.description)}", 9)
            screen.write_folded(f"         {screen.paint(rules(found, secret=secret), 'dim')}", 9)
    if action.outputs:
        screen.write("   Returns:")
        for output in action.outputs.values():
            kind = f" ({output.type})" if output.type else ""
            name = screen.paint(line(output.name), "cyan")
            screen.write_folded(f"      {name}  {line(output.description)}{kind}", 9)


def rules(found: Input, *, secret: bool) -> str:
    """What an input has to be."""
    rules = ["required" if found.default is None and not found.optional else "optional"]
    if found.type is InputType.LIST:
        rules.append(f"one of {', '.join(found.choices)}")
    else:
        rules.append(str(found.type))
    if found.maxlength:
        rules.append(f"at most {found.maxlength} characters")
    if found.validation:
        rules.append(f"as {found.validation}")
    if found.default is not None:
        rules.append(f"default {in_json(found.default, indent=None)}")
    if secret:
        rules.append("never shown")
    return line("; ".join(rules))
