"""`fj job graph` and `fj job legs`: the shape of a plan, and how each of its legs stands."""

import click

from fleetjobs.cli.commands import command
from fleetjobs.cli.documents import in_json, is_plan
from fleetjobs.cli.exits import EPILOG, Exit
from fleetjobs.cli.find_job import find_job, job_argument
from fleetjobs.cli.options import json_option
from fleetjobs.cli.plan_views import dot, legs_table, tree
from fleetjobs.cli.screen import stdout
from fleetjobs.cli.session import fleet, program
from fleetjobs.client.fleet import Fleet
from fleetjobs.client.replies import Document
from fleetjobs.errors import NotFound


@command(epilog=EPILOG)
@job_argument
@click.option("--dot", "as_dot", is_flag=True, help="In the language of Graphviz, to be drawn.")
@json_option
def graph(job: str, *, as_dot: bool, as_json: bool) -> int:
    """Show a plan's legs as a tree: how each stands, and what it waits for.

    A star after a name: it is waited for on all nodes, not node by node.

    [bold]Examples[/]

    fj job graph last

    fj job graph last --dot | dot -Tsvg -o plan.svg
    """
    found, legs_ = _legs(fleet(), job)
    screen = stdout()
    if as_json:
        screen.write(in_json({**found, "legs": legs_}))
    elif as_dot:
        for text in dot(found, legs_):
            screen.write(text)
    else:
        tree(screen, found, legs_)
    return Exit.OK


@command(epilog=EPILOG)
@job_argument
@click.option("-q", "--quiet", is_flag=True, help="Only their ids.")
@json_option
def legs(job: str, *, quiet: bool, as_json: bool) -> int:
    """List a plan's legs and groups, or what a job's action asked for; each is a job."""
    _, found = _legs(fleet(), job)
    screen = stdout()
    if as_json:
        screen.write(in_json({"items": found}))
    elif quiet:
        for leg in found:
            screen.write(leg["id"])
    else:
        legs_table(screen, found)
    return Exit.OK


def _legs(asked: Fleet, job: str) -> tuple[Document, list[Document]]:
    """The plan, and its legs; or a job, and what follows it. Raises NotFound if nothing does."""
    found = find_job(asked, job)
    if not is_plan(found) and not asked.job(found["id"]).get("children"):
        refusal = NotFound(f"{found['id']} is no plan: it has runs")
        refusal.add_note(f"`{program()} job show` shows them")
        raise refusal
    return found, list(asked.legs(found["id"]))
