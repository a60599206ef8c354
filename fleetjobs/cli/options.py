"""Options that several commands share: which nodes, how to show, how long to wait."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from fleetjobs.cli.commands import panel
from fleetjobs.cli.complete import agent_names, class_names, fact_names, node_names
from fleetjobs.cli.screen import read_text
from fleetjobs.cli.session import fleet
from fleetjobs.targets import Target, make_target

C = TypeVar("C", bound=Callable[..., Any])

_SIGNS = "=<>!~"

_TARGET = (
    click.option(
        "-F",
        "--fact",
        "facts",
        multiple=True,
        metavar="FACT=VALUE",
        shell_complete=fact_names,
        help="Nodes with that fact; also == != < <= > >=, =~ and !~ with /regex/. Nested facts "
        "by dotted names. All given have to hold.",
    ),
    click.option(
        "-C",
        "--class",
        "classes",
        multiple=True,
        metavar="CLASS",
        shell_complete=class_names,
        help="Nodes of that class, or of one that matches /regex/.",
    ),
    click.option(
        "-I",
        "--identity",
        "identities",
        multiple=True,
        metavar="NODE",
        shell_complete=node_names,
        help="The node of that name, or those that match /regex/. Any of those given.",
    ),
    click.option(
        "-A",
        "--agent",
        "agents",
        multiple=True,
        metavar="AGENT",
        shell_complete=agent_names,
        help="Nodes that have that agent.",
    ),
    click.option(
        "-W",
        "--with",
        "with_",
        multiple=True,
        metavar="'WORD …'",
        help="Classes and facts in one: -W 'web os.name=Debian'.",
    ),
    click.option(
        "-S",
        "--select",
        "compound",
        metavar="EXPR",
        help="An expression: -S '(web or db) and not os.name=Debian'.",
    ),
    click.option("-T", "--org", "org", metavar="ORG", help="Nodes of that org."),
    click.option(
        "--nodes",
        "nodes_file",
        metavar="FILE",
        type=click.Path(allow_dash=True, dir_okay=False),
        help="The nodes named in a file, or on standard input with -: one per line, JSON, YAML, "
        "or what another command printed with --json.",
    ),
    click.option(
        "--discover",
        "discover",
        metavar="'PROGRAM …'",
        help="The nodes that this program names, asked as Choria's external discovery asks; "
        "what else is given is told to it, and has to hold as well.",
    ),
    click.option("--limit", metavar="N|N%", help="No more than so many of them."),
    click.option(
        "--limit-method",
        "method",
        type=click.Choice(["first", "random"]),
        default="first",
        help="How a limit picks: the first by name, or at random.",
    ),
    click.option(
        "--limit-seed", "seed", type=int, metavar="N", help="Always the same random pick."
    ),
    click.option("-1", "--one", "one", is_flag=True, help="Only one of them: as --limit 1."),
)
TARGET_OPTIONS = [
    "--fact", "--class", "--identity", "--agent", "--with", "--select", "--org", "--nodes",
    "--discover", "--limit", "--limit-method", "--limit-seed", "--one",
]  # fmt: skip
TARGET_NAMES = (
    "facts", "classes", "identities", "agents", "with_", "compound", "org", "nodes_file",
    "discover", "limit", "method", "seed", "one",
)  # fmt: skip


def target_options(command: C) -> C:
    """Let a command take a target; read it by `take_target`."""
    for option in reversed(_TARGET):
        command = option(command)
    return panel("Which nodes (all, if nothing is given)", TARGET_OPTIONS)(command)


def take_target(given: dict[str, Any]) -> Target:
    """The target of a command's parameters, taken out of them. Raises InvalidTarget."""
    found = {name: given.pop(name) for name in TARGET_NAMES}
    words = [word for text in found["with_"] for word in text.split()]
    facts = [word for word in words if not word.startswith("/") and set(word) & set(_SIGNS)]
    target = make_target(
        identities=[*found["identities"], *_named(found["nodes_file"])],
        facts=[*found["facts"], *facts],
        classes=[*found["classes"], *(word for word in words if word not in facts)],
        agents=found["agents"],
        compound=found["compound"],
        org=found["org"],
        limit="1" if found["one"] else found["limit"],
        method=found["method"],
        seed=found["seed"],
    )
    return _discovered(found["discover"], target) if found["discover"] is not None else target


def _discovered(command: str, target: Target) -> Target:
    """The target with the nodes that the program names."""
    from msgspec.structs import replace

    from fleetjobs.client.discovery import discover

    if target.identities:
        raise click.UsageError("--discover names the nodes; give no --identity and no --nodes")
    org = fleet().transport.profile.org
    return replace(target, identities=discover(command, target, org=org))


def is_named(target: Target) -> bool:
    """Whether its nodes are named one by one."""
    return bool(target.identities) and not any(name.startswith("/") for name in target.identities)


def _named(file: str | None) -> tuple[str, ...]:
    if file is None:
        return ()
    from fleetjobs.nodelists import read_identities

    return read_identities(read_text(file, f"--nodes {file}"))


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
