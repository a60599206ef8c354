"""`fj agent`: begin an agent, check it, try it; on this machine, without a fleet."""

import json
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from fleetjobs.cli.commands import group
from fleetjobs.cli.exits import EPILOG
from fleetjobs.cli.options import json_option
from fleetjobs.cli.programs import become

AGENT = """\
Write an agent: begin one, check it, try it; no fleet is needed.

[bold]Examples[/]

\b
  fj agent new backup --language shell       a working agent to change
  fj agent run backup greet name=Ada         as a node would
  fj agent check backup                      its interface, program and cases
  fj doc ./backup                            how it looks to those who use it
"""
LANGUAGES = ("python", "shell", "perl", "ruby", "node", "c")


@group(help=AGENT, epilog=EPILOG)
def agent() -> None:
    """Agents."""


@agent.command(epilog=EPILOG)
@click.argument("name")
@click.option(
    "-l",
    "--language",
    type=click.Choice(LANGUAGES),
    required=True,
    help="What it is written in; any other language will do as well, see agents/README.md.",
)
@click.option(
    "--directory",
    metavar="DIRECTORY",
    type=click.Path(file_okay=False),
    default=".",
    help="Where its directory goes; by default here.",
)
def new(name: str, language: str, directory: str) -> None:
    """Write a working agent: interface, program and cases, to be changed by you.

    NAME takes small letters, digits and underscores.

    [bold]Examples[/]

    fj agent new backup --language python
    """
    become("agent", ("new", "--language", language, "--directory", directory, "--", name))


@agent.command(epilog=EPILOG)
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path())
@json_option
def check(paths: tuple[str, ...], *, as_json: bool) -> None:
    """Read agents as a node would, and act out their cases; say what is wrong and where.

    A PATH is an agent's directory, or one that holds agents.

    [bold]Examples[/]

    fj agent check backup
    """
    become("agent", ("check", *_flag(as_json), "--", *paths))


def _agent_actions(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The actions of the agent whose path was given."""
    return [
        CompletionItem(name, help=str(declared.get("description", "")))
        for name, declared in _declared(ctx).items()
        if name.startswith(incomplete)
    ]


def _agent_inputs(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """`name=` of each input not yet given."""
    given = {word.partition("=")[0] for word in ctx.params.get("words") or ()}
    inputs = _declared(ctx).get(str(ctx.params.get("action")), {}).get("input", {})
    return [
        CompletionItem(f"{name}=", help=str(declared.get("description", "")))
        for name, declared in inputs.items()
        if name not in given and f"{name}=".startswith(incomplete)
    ]


def _declared(ctx: click.Context) -> dict[str, dict[str, Any]]:
    path = Path(str(ctx.params.get("path", "")))
    try:
        document = json.loads((path / f"{path.resolve().name}.json").read_bytes())
        return {action["action"]: action for action in document["actions"]}
    except (OSError, ValueError, LookupError, TypeError):
        return {}  # a shell that completes is no place for complaints


@agent.command(epilog=EPILOG)
@click.argument("path", type=click.Path())
@click.argument("action", shell_complete=_agent_actions)
@click.argument("words", nargs=-1, metavar="[INPUT=VALUE]...", shell_complete=_agent_inputs)
@click.option("--attempt", type=click.IntRange(1, 1000), default=1, help="Which attempt it is.")
@click.option("--env", multiple=True, metavar="NAME=VALUE", help="More for its environment.")
@click.option(
    "--node",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="What it is told of its node, as JSON: facts, classes, agents; by default this machine.",
)
@json_option
def run(
    path: str, action: str, words: tuple[str, ...], attempt: int, *, as_json: bool, **given: Any
) -> None:
    """Try one action here and now, as a node would, and show its reply.

    What it writes and tells of its progress goes to standard error; ctrl-C stops it as a cancel
    would. PATH is the agent's directory, or the name of one that comes with fleetjobs.

    [bold]Examples[/]

    fj agent run backup greet name=Ada
    """
    options = [*_flag(as_json), "--attempt", str(attempt)]
    options += [f"--env={word}" for word in given["env"]]
    if given["node"]:
        options.append(f"--node={given['node']}")
    become("agent", ("run", *options, "--", path, action, *words))


def _flag(as_json: bool) -> tuple[str, ...]:  # noqa: FBT001  it is the option itself
    return ("--json",) if as_json else ()
