"""Completion: names that the shell can complete, asked of the server; silent if it is away."""

from collections.abc import Callable, Iterable
from functools import wraps
from itertools import islice
from typing import TYPE_CHECKING

import click

from fleetjobs.cli.session import fleet_of
from fleetjobs.client.fleet import Fleet
from fleetjobs.errors import Fault

if TYPE_CHECKING:  # commands name it; only a shell that completes needs it
    from click.shell_completion import CompletionItem

MOST = 200  #: more names help nobody choose

Names = Callable[[Fleet, click.Context], Iterable[tuple[str, str]]]  # name and what it is
Complete = Callable[[click.Context, click.Parameter, str], "list[CompletionItem]"]


def _completes(names: Names) -> Complete:
    """The names that begin as the word does; none if nobody can say."""

    @wraps(names)
    def complete(ctx: click.Context, _: click.Parameter, incomplete: str) -> "list[CompletionItem]":
        from click.shell_completion import CompletionItem

        try:
            found = [
                CompletionItem(name, help=help_.split("\n")[0])
                for name, help_ in names(fleet_of(ctx), ctx)
                if name.startswith(incomplete)
            ]
        except (Fault, OSError, LookupError, TypeError, ValueError):
            return []  # a shell that completes is no place for complaints
        return list(islice(found, MOST))

    return complete


@_completes
def agent_names(fleet: Fleet, _: click.Context) -> Iterable[tuple[str, str]]:
    """Agents."""
    return [(agent["name"], agent["description"]) for agent in fleet.agents()]


@_completes
def action_names(fleet: Fleet, ctx: click.Context) -> Iterable[tuple[str, str]]:
    """Actions of the agent before it on the line."""
    document = fleet.agent(ctx.params["agent"])["interface"]
    return [(action["action"], action["description"]) for action in document["actions"]]


@_completes
def input_words(fleet: Fleet, ctx: click.Context) -> Iterable[tuple[str, str]]:
    """`name=` of each input not yet given, and its choices where it is a list."""
    document = fleet.agent(ctx.params["agent"])["interface"]
    [inputs] = [
        action["input"]
        for action in document["actions"]
        if action["action"] == ctx.params["action"]
    ]
    given = {word.partition("=")[0] for word in ctx.params.get("words") or ()}
    for name, declared in inputs.items():
        if name in given:
            continue
        yield f"{name}=", declared.get("description", "")
        for choice in declared.get("list") or ():
            yield f"{name}={choice}", declared.get("description", "")


@_completes
def node_names(fleet: Fleet, _: click.Context) -> Iterable[tuple[str, str]]:
    """Nodes."""
    return [(node["identity"], "" if node["alive"] else "silent") for node in fleet.nodes()]


@_completes
def class_names(fleet: Fleet, _: click.Context) -> Iterable[tuple[str, str]]:
    """Classes of any node."""
    return [(name, "") for name in sorted({c for node in fleet.nodes() for c in node["classes"]})]


@_completes
def fact_names(fleet: Fleet, _: click.Context) -> Iterable[tuple[str, str]]:
    """`name=` of every fact of any node, nested ones by dotted names."""
    names = {name for node in fleet.nodes() for name in dotted(node["facts"])}
    return [(f"{name}=", "") for name in sorted(names)]


@_completes
def job_ids(fleet: Fleet, _: click.Context) -> Iterable[tuple[str, str]]:
    """The newest jobs."""
    return [
        (job["id"], f"{job['agent']}.{job['action']} {job['state']}") for job in fleet.jobs(most=50)
    ]


@_completes
def schedule_labels(fleet: Fleet, _: click.Context) -> Iterable[tuple[str, str]]:
    """Schedules that were not deleted."""
    return [(item["label"], item["rule"]) for item in fleet.pages("schedules")]


@_completes
def template_labels(fleet: Fleet, _: click.Context) -> Iterable[tuple[str, str]]:
    """Templates that were not deleted."""
    return [(item["label"], item["description"]) for item in fleet.pages("templates")]


def dotted(facts: dict[str, object], above: str = "") -> Iterable[str]:
    """The names of facts, nested ones by dotted names."""
    for name, value in facts.items():
        if isinstance(value, dict):
            yield from dotted(value, f"{above}{name}.")
        else:
            yield f"{above}{name}"
