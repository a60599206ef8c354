"""`fj doc`: what agents there are, what their actions take and what they return."""

from typing import Any

import rich_click as click

from fleetjobs.cli.columns import Column, draw
from fleetjobs.cli.complete import action_names, agent_names
from fleetjobs.cli.documents import in_json
from fleetjobs.cli.exits import EPILOG, Exit
from fleetjobs.cli.rpc import find_action, usage
from fleetjobs.cli.screen import Screen, line, stderr, stdout
from fleetjobs.cli.session import fleet, program
from fleetjobs.cli.words import span
from fleetjobs.client.asking import fetch_interface
from fleetjobs.inputs import Input, InputType
from fleetjobs.interfaces import Action, Interface

HELP = """\
Tell what agents there are, and what their actions take and return.

[bold]Examples[/]

\b
  fj doc                    all agents of the fleet
  fj doc package            its actions
  fj doc package install    one of them
"""


@click.command(help=HELP, epilog=EPILOG)
@click.argument("agent", required=False, shell_complete=agent_names)
@click.argument("action", required=False, shell_complete=action_names)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document: the interface.")
def doc(agent: str | None, action: str | None, *, as_json: bool) -> int:
    """Tell what agents there are."""
    screen, asked = stdout(), fleet()
    if agent is None:
        return _agents(screen, asked.agents(), as_json=as_json)
    if action is not None:
        declared = find_action(asked, agent, action)
        if as_json:
            screen.write(in_json(_of(fetch_interface(asked, agent), action)))
        else:
            _action(screen, declared)
        return Exit.OK
    interface = fetch_interface(asked, agent)
    if as_json:
        screen.write(in_json(interface.document))
        return Exit.OK
    screen.write(f"{screen.paint(line(agent), 'bold')}  {line(interface.description)}")
    version = f"version {interface.version}, timeout {span(interface.timeout)}"
    screen.write(screen.paint(line(version), "dim"))
    for name in sorted(interface.actions):
        screen.write()
        _action(screen, interface.actions[name])
    return Exit.OK


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
    screen.write(" ".join([screen.paint(f"{agent} {name}", "bold"), *inputs]))
    screen.write(f"   {line(action.description)}")
    traits = [
        "quick, runs inside the worker" if action.inline else f"timeout {span(action.timeout)}",
        "may be repeated" if action.idempotent else "",
    ]
    screen.write("   " + screen.paint(", ".join(trait for trait in traits if trait), "dim"))
    if action.inputs:
        screen.write("   Inputs:")
        for found in action.inputs.values():
            secret = found.name in action.secrets
            screen.write(
                f"      {screen.paint(line(found.name), 'cyan')}  {line(found.description)}"
            )
            screen.write(f"         {screen.paint(_rules(found, secret=secret), 'dim')}")
    if action.outputs:
        screen.write("   Returns:")
        for output in action.outputs.values():
            kind = f" ({output.type})" if output.type else ""
            name = screen.paint(line(output.name), "cyan")
            screen.write(f"      {name}  {line(output.description)}{kind}")


def _rules(found: Input, *, secret: bool) -> str:
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
