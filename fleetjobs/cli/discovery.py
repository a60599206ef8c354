"""`fj find` and `fj facts`: which nodes a target picks, and what they are."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import click

from fleetjobs.cli.commands import command
from fleetjobs.cli.complete import dotted, fact_names
from fleetjobs.cli.documents import in_json
from fleetjobs.cli.exits import EPILOG, Exit
from fleetjobs.cli.options import json_option, take_target, target_options
from fleetjobs.cli.screen import line, stderr, stdout
from fleetjobs.cli.session import fleet
from fleetjobs.client.asking import query_of
from fleetjobs.client.fleet import nearest
from fleetjobs.client.replies import Document
from fleetjobs.targets import Target

_MISSING = object()

FIND = """\
List the nodes that a target picks, one name a line.

Nobody is asked: the server knows its nodes. Those that are silent are listed too; \
`fj node list` tells which they are.

[bold]Examples[/]

\b
  fj find -C web -F 'cpus>=4'
  fj find -S '(web or db) and not os.name=Debian'
  fj find -C web --json | fj rpc rpcutil ping --nodes -
"""
FACTS = """\
Report the values of a fact over the fleet, the most frequent first.

Nested facts have dotted names. Without a FACT, lists the names of all.

[bold]Examples[/]

\b
  fj facts os.name
  fj facts kernel.release -C web
"""


def _picked(target: Target) -> list[Document]:
    """The nodes; a remark on stderr if there are none."""
    nodes = fleet().nodes(query_of(target))
    if not nodes:
        stderr().write("No node matches.")
    return nodes


@command(help=FIND, epilog=EPILOG)
@target_options
@json_option
def find(**given: Any) -> int:
    """List the nodes that a target picks."""
    nodes = _picked(take_target(given))
    names = [node["identity"] for node in nodes]
    screen = stdout()
    if given["as_json"]:
        screen.write(in_json(names))
    elif names:
        screen.write("\n".join(line(name) for name in names))
    return Exit.OK if nodes else Exit.ERROR


@command(help=FACTS, epilog=EPILOG)
@click.argument("fact", required=False, shell_complete=fact_names)
@target_options
@json_option
def facts(fact: str | None, **given: Any) -> int:
    """Report the values of a fact."""
    nodes = _picked(take_target(given))
    if not nodes:
        return Exit.ERROR
    if fact is None:
        return _names(nodes, as_json=given["as_json"])
    name = fact.removesuffix("=")
    counts = Counter(_text(value_of(node["facts"], name)) for node in nodes)
    counts.pop(None, None)
    if not counts:
        known = sorted({known for node in nodes for known in dotted(node["facts"])})
        raise click.ClickException(f"no node has a fact {name!r}{nearest(name, known)}")
    _report(name, counts, len(nodes), as_json=given["as_json"])
    return Exit.OK


def _names(nodes: list[Document], *, as_json: bool) -> int:
    counts = Counter(name for node in nodes for name in dotted(node["facts"]))
    screen = stdout()
    if as_json:
        screen.write(in_json(dict(sorted(counts.items()))))
    for name in () if as_json else sorted(counts):
        screen.write(line(name))
    return Exit.OK


def _report(name: str, counts: Counter[str | None], nodes: int, *, as_json: bool) -> None:
    screen = stdout()
    ordered = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))
    if as_json:
        screen.write(in_json({"fact": name, "nodes": nodes, "values": dict(ordered)}))
        return
    screen.write(f"Report for fact: {screen.paint(line(name), 'bold')}")
    screen.write()
    width = max(len(line(text)) for text, _ in ordered)
    for text, count in ordered:
        times = "time" if count == 1 else "times"
        screen.write(f"   {line(text):<{width}}  found {count} {times}")
    missing = nodes - counts.total()
    if missing:
        screen.write(f"   {screen.paint(f'{missing} of {nodes} nodes do not have it', 'dim')}")


def value_of(facts: Mapping[str, Any], name: str) -> Any:
    """The fact of that dotted name; a name with dots of its own is taken first."""
    found: Any = facts
    if name in facts:
        return facts[name]
    for part in name.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return _MISSING
        found = found[part]
    return found


def _text(value: Any) -> str | None:
    if value is _MISSING:
        return None
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
