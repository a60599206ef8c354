"""`fj template run` and `validate`: what a template comes to with values for its parameters."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import msgspec

from fleetjobs.cli.columns import Column, draw
from fleetjobs.cli.commands import command
from fleetjobs.cli.conditions import show_times, warn
from fleetjobs.cli.documents import in_json
from fleetjobs.cli.exits import EPILOG, Exit
from fleetjobs.cli.options import json_option, take_target, target_options
from fleetjobs.cli.plan_views import needs_in_words
from fleetjobs.cli.screen import read_text, stdout
from fleetjobs.cli.session import fleet
from fleetjobs.cli.templates import LABEL
from fleetjobs.cli.words import Duration
from fleetjobs.client.asking import utc_now
from fleetjobs.client.conditions import make_conditions
from fleetjobs.client.jobs import Job
from fleetjobs.client.plans import PlanJob
from fleetjobs.client.replies import Document
from fleetjobs.client.templates import Template
from fleetjobs.plans.parameters import parse_parameters
from fleetjobs.plans.reading import read_plan
from fleetjobs.targets import Target
from fleetjobs.times import EXAMPLES

_WORDS = click.argument("words", nargs=-1, metavar="[PARAMETER=VALUE]...")

RUN = """\
Run a template once: one job, which remembers template and version.

It waits and shows how it goes; ctrl-C ends the waiting, not the job. With --at, --delay or
--background it comes back at once with the job's id.

[bold]Examples[/]

\b
  fj template run restart name=nginx -C web
  fj template run restart name=nginx --at 'tomorrow 4am'
"""


@command("run", help=RUN, epilog=EPILOG)
@LABEL
@_WORDS
@click.option("--version", type=click.IntRange(1), metavar="N", help="That one; the newest.")
@target_options
@click.option("--at", metavar="TIME", help=f"Not before then: {EXAMPLES}.")
@click.option("--delay", type=Duration(), metavar="DURATION", help="So long from now: 90s, 2h.")
@click.option("--start-before", metavar="TIME", help="What has not begun by then never will.")
@click.option(
    "--priority",
    type=click.IntRange(-100, 100),
    metavar="N",
    help="Where an action has a limit: the higher goes first; by default as the template says.",
)
@click.option("--background", is_flag=True, help="Come back at once with the job's id.")
@click.option(
    "-t", "--timeout", type=Duration(), metavar="DURATION", help="Wait no longer than that."
)
@click.option("-q", "--quiet", is_flag=True, help="Only what went wrong, and how it ended.")
@json_option
def run_(
    label: str,
    words: tuple[str, ...],
    *,
    background: bool,
    timeout: timedelta | None,
    quiet: bool,
    as_json: bool,
    **given: Any,
) -> int:
    """Run a template once."""
    at, delay, start_before = (given.pop(name) for name in ("at", "delay", "start_before"))
    conditions = make_conditions(utc_now(), at=at, delay=delay, start_before=start_before)
    target = take_target(given)
    template = Template.find(fleet(), label, given["version"])
    params = _parse(template, words)
    show_times(conditions)
    job = template.ask(
        params,
        conditions,
        target=None if target == Target() else target,
        version=template.version,
        priority=given["priority"],
    )
    warn(job.document)
    if background or at is not None or delay is not None:
        stdout().write(in_json(job.document) if as_json else job.id)
        return Exit.OK
    return _follow(job, timeout=timeout, quiet=quiet, as_json=as_json)


def _parse(template: Template, words: tuple[str, ...]) -> dict[str, Any]:
    """Values from the command line. Raises InvalidInput."""
    return parse_parameters(read_plan(template.document["text"], template.label).parameters, words)


def _follow(job: Job, *, timeout: timedelta | None, quiet: bool, as_json: bool) -> int:
    if isinstance(job, PlanJob):
        from fleetjobs.cli.plan_following import follow_plan

        return follow_plan(job, timeout=timeout, quiet=quiet, as_json=as_json)
    from fleetjobs.cli.following import Manner, follow

    manner = Manner(display="failed" if quiet else "always", quiet=as_json or quiet)
    code = follow(job.replies(timeout), action=None, manner=manner)
    if as_json:
        stdout().write(in_json(job.document))
    return code


@command(epilog=EPILOG)
@click.argument("name", metavar="LABEL|FILE")
@_WORDS
@click.option("--version", type=click.IntRange(1), metavar="N", help="That one; the newest.")
@target_options
@json_option
def validate(name: str, words: tuple[str, ...], *, as_json: bool, **given: Any) -> int:
    """Try a template out, or a file that is to become one: where it would run; nothing does.

    What ends in .yaml, .yml or .json is a file.
    """
    asked, target = fleet(), take_target(given)
    aimed = None if target == Target() else target
    if Path(name).suffix in {".yaml", ".yml", ".json"} or name == "-":
        text = read_text(name)
        params = parse_parameters(read_plan(text, Path(name).name).parameters, words)
        wish: dict[str, Any] = {"text": text, "params": params}
        if aimed is not None:
            wish["target"] = msgspec.to_builtins(aimed)
        found = asked.tell("templates", "validate", wish=wish)
    else:
        template = Template.find(asked, name, given["version"])
        found = template.check(_parse(template, words), aimed)
    return _tell(found, as_json=as_json)


def _tell(found: Document, *, as_json: bool) -> int:
    screen = stdout()
    if as_json:
        screen.write(in_json(found))
        return Exit.OK
    warn(found)
    count = len(found["nodes"])
    screen.write(
        f"It could run on {count} {'node' if count == 1 else 'nodes'}; nothing was asked for."
    )
    if found["legs"]:
        columns = [
            Column("leg", "bold"),
            Column("action"),
            Column("nodes", right=True),
            Column("after", wraps=True),
        ]
        rows = [
            [
                leg["key"],
                "group" if leg["kind"] == "group" else f"{leg['agent']}.{leg['action']}",
                len(leg["nodes"]),
                needs_in_words(leg["needs"]),
            ]
            for leg in found["legs"]
        ]
        draw(screen, columns, rows)
    return Exit.OK
