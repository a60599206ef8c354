"""`fj plan`: check plans that are written in files, try them out, run them."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import click

from fleetjobs.cli.commands import group, panel
from fleetjobs.cli.conditions import show_times, warn
from fleetjobs.cli.documents import in_json
from fleetjobs.cli.exits import EPILOG, Exit
from fleetjobs.cli.options import json_option, take_target, target_options
from fleetjobs.cli.plan_trial import try_out
from fleetjobs.cli.screen import clean, read_text, stderr, stdout
from fleetjobs.cli.session import fleet, program
from fleetjobs.cli.words import Duration, Share
from fleetjobs.client.asking import utc_now
from fleetjobs.client.conditions import make_conditions
from fleetjobs.client.jobs import new_id
from fleetjobs.client.plans import PlanJob, make_plan, submit_plan
from fleetjobs.errors import InvalidInput, MissingInput
from fleetjobs.inputs import Input, InputType
from fleetjobs.plans.documents import OnFailure, Plan
from fleetjobs.plans.parameters import parse_parameters
from fleetjobs.plans.reading import WrittenPlan, read_plan
from fleetjobs.targets import Target
from fleetjobs.times import EXAMPLES

C = TypeVar("C", bound=Callable[..., Any])

RUN = """\
Run a plan: legs that depend on one another, each an action on a target.

It waits and shows how legs and nodes get on; ctrl-C ends the waiting, not the plan. With --at,
--delay or --background it comes back at once with the plan's id.

[bold]Examples[/]

\b
  fj plan run build-vm.yaml --param name=web1 -I hv1
  fj plan run restart.yaml -p name=nginx -C web --dry-run
  fj plan run update.yaml -C web --on-failure rollback --at 'tomorrow 4am'
"""

CHECK = """\
Check a plan: its shape, its references, the inputs of its actions, and where it would run.

Every leg that is wrong is named. Nothing is kept, and nothing runs. With --offline no server is
asked: then only the file itself is looked at.

[bold]Examples[/]

\b
  fj plan check build-vm.yaml --param name=web1 -I hv1
  fj plan check build-vm.yaml --param name=web1 --offline
"""

_FILE = click.argument("file", metavar="FILE", type=click.Path(allow_dash=True, dir_okay=False))
_PARAM = click.option(
    "-p",
    "--param",
    "words",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter of the plan; several may be given.",
)
_CHANGES = (
    click.option("--name", metavar="NAME", help="What the plan is called in lists."),
    click.option(
        "--on-failure",
        type=click.Choice([each.value for each in OnFailure]),
        help="What follows when a leg has failed; by default what the plan says.",
    ),
    click.option(
        "--max-failures",
        type=Share(),
        metavar="N|N%",
        help="So many of its legs and groups may fail.",
    ),
    click.option(
        "--priority",
        type=click.IntRange(-100, 100),
        metavar="N",
        help="Of legs that name none, where an action has a limit: the higher goes first, from "
        "-100 to 100.",
    ),
)


@group(epilog=EPILOG)
def plan() -> None:
    """Run plans: legs that depend on one another.

    A FILE holds a plan in YAML, or in JSON; `-` is standard input.
    """


def _changes(command: C) -> C:
    """Let a command change a plan; see `_take_plan`."""
    for option in reversed(_CHANGES):
        command = option(command)
    return panel("The plan", ["--param", "--name", "--on-failure", "--max-failures", "--priority"])(
        command
    )


@plan.command(help=CHECK, epilog=EPILOG)
@_FILE
@_PARAM
@_changes
@target_options
@click.option("--offline", is_flag=True, help="Ask no server.")
@json_option
def check(file: str, *, offline: bool, as_json: bool, **given: Any) -> int:
    """Check a plan."""
    written, found = _take_plan(file, given)
    if not offline:
        return try_out(fleet(), found, as_json=as_json)
    if as_json:
        import msgspec

        stdout().write(in_json(msgspec.to_builtins(found)))
    else:
        count = len(found.legs)
        said = f"{count} legs fit together" if count > 1 else "its one leg is written well"
        stdout().write(f"{clean(written.name)}: {said}.")
    return Exit.OK


@plan.command("run", help=RUN, epilog=EPILOG)
@_FILE
@_PARAM
@_changes
@target_options
@click.option("--dry-run", is_flag=True, help="Show what it would do; nothing is kept.")
@click.option("--at", metavar="TIME", help=f"Not before then: {EXAMPLES}.")
@click.option("--delay", type=Duration(), metavar="DURATION", help="So long from now: 90s, 2h.")
@click.option(
    "--start-before",
    metavar="TIME|never",
    help="What has not begun by then never will. By default an hour after --at, else a day.",
)
@click.option("--background", is_flag=True, help="Come back at once with the plan's id.")
@click.option(
    "-t", "--timeout", type=Duration(), metavar="DURATION", help="Wait no longer than that."
)
@click.option("-q", "--quiet", is_flag=True, help="Only what went wrong, and how it ended.")
@json_option
@panel("When", ["--at", "--delay", "--start-before", "--background", "--timeout"])
def run_(
    file: str,
    *,
    dry_run: bool,
    background: bool,
    timeout: timedelta | None,
    quiet: bool,
    as_json: bool,
    **given: Any,
) -> int:
    """Run a plan."""
    at, delay, start_before = (given.pop(name) for name in ("at", "delay", "start_before"))
    conditions = make_conditions(utc_now(), at=at, delay=delay, start_before=start_before)
    _, found = _take_plan(file, given)
    asked = fleet()
    if dry_run:
        return try_out(asked, found, conditions, as_json=as_json)
    if code := try_out(asked, found, as_json=False, only_problems=True):
        return code
    show_times(conditions)
    name = new_id()
    try:
        handle = PlanJob(asked, submit_plan(asked, found, conditions, name=name))
    except KeyboardInterrupt:
        screen = stderr()
        screen.write("\nInterrupted while asking; whether it was accepted is told by:")
        screen.write(f"   {program()} job show {name}")
        raise
    warn(handle.document)
    if background or at is not None or delay is not None:
        stdout().write(in_json(handle.document) if as_json else handle.id)
        return Exit.OK
    from fleetjobs.cli.plan_following import follow_plan

    return follow_plan(handle, timeout=timeout, quiet=quiet, as_json=as_json)


@plan.command("schema", epilog=EPILOG)
def schema() -> int:
    """Print the JSON Schema of plans, in the form in which programs exchange them."""
    import msgspec

    stdout().write(in_json(msgspec.json.schema(Plan)))
    return Exit.OK


def _take_plan(file: str, given: dict[str, Any]) -> tuple[WrittenPlan, Plan]:
    """The plan of a file with the options of the command line. Raises InvalidPlan and others."""
    target = take_target(given)
    written, filled = fill_file(file, given.pop("words"))
    return written, make_plan(
        filled,
        target=None if target == Target() else target,
        name=given["name"],
        on_failure=given["on_failure"],
        max_failures=given["max_failures"],
        priority=given["priority"],
    )


def fill_file(file: str, words: Sequence[str]) -> tuple[WrittenPlan, Plan]:
    """The plan of a file, as it is written, and with its parameters filled in.

    Raises InvalidPlan, MissingInput, InvalidInput.
    """
    written = read_plan(read_text(file), "standard input" if file == "-" else Path(file).name)
    try:
        return written, written.fill(parse_parameters(written.parameters, words))
    except (MissingInput, InvalidInput) as error:
        usage = " ".join(_usage(taken) for taken in written.parameters.values())
        error.add_note(f"its parameters: {usage}" if usage else "it has no parameters")
        raise


def _usage(taken: Input) -> str:
    """The parameter as it is typed: `--param name=STRING`."""
    kind = "|".join(taken.choices) if taken.type is InputType.LIST else taken.type.upper()
    word = f"--param {taken.name}={kind}"
    return f"[{word}]" if taken.optional or taken.default is not None else word
