"""`fj schedule create`: what is to be done again and again, and when."""

import re
from typing import Any

import click
import msgspec

from fleetjobs.access import FLEET
from fleetjobs.cli.commands import command
from fleetjobs.cli.complete import (
    action_names,
    agent_names,
    input_words,
    template_labels,
)
from fleetjobs.cli.exits import EPILOG
from fleetjobs.cli.options import json_option, take_target, target_options
from fleetjobs.cli.rpc import find_action, inputs_of
from fleetjobs.cli.schedule_options import schedule_options, take_bounds, take_rule
from fleetjobs.cli.schedule_views import (
    show_check,
    tell_schedule,
)
from fleetjobs.cli.session import fleet
from fleetjobs.client.asking import aim
from fleetjobs.client.fleet import Fleet
from fleetjobs.targets import Target

CREATE = """\
Have an action called again and again.

What it comes to is shown: the next times, in the rule's own zone. It is asked for in your name.

[bold]Examples[/]

\b
  fj schedule create nightly service restart name=nginx -C web \\
    --cron '0 4 * * *' --tz Europe/Prague
  fj schedule create pulse rpcutil ping --every 10m --overlap skip
  fj schedule create patch-day package update name=openssl \\
    --rrule 'FREQ=MONTHLY;BYDAY=2TU;BYHOUR=3;BYMINUTE=0'
  fj schedule create restart --template restart -p name=nginx --cron '@weekly'
  fj schedule create holidays service stop name=nginx -I web1 \\
    --at '2026-12-24 04:00' --at '2026-12-31 04:00'
"""
LABEL = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")


@command(help=CREATE, epilog=EPILOG)
@click.argument("label")
@click.argument("agent", shell_complete=agent_names, required=False)
@click.argument("action", shell_complete=action_names, required=False)
@click.argument("words", nargs=-1, metavar="[INPUT=VALUE]...", shell_complete=input_words)
@click.option(
    "--plan",
    "file",
    metavar="FILE",
    help="A plan in YAML or JSON instead of an action; see `fj plan run`.",
)
@click.option(
    "--template",
    metavar="LABEL[@VERSION]",
    shell_complete=template_labels,
    help="A template instead of an action: its newest version each time, or always that one.",
)
@click.option(
    "-p",
    "--param",
    "params",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter of the plan or the template.",
)
@schedule_options
@click.option("--retries", type=click.IntRange(0, 100), metavar="N", help="Try so often again.")
@click.option("--description", metavar="TEXT", help="For people.")
@click.option("--disabled", is_flag=True, help="Keep it, and let nothing come of it yet.")
@click.option("--fleet", "is_fleet", is_flag=True, help="The fleet's own; takes a fleet admin.")
@click.option(
    "--dry-run", is_flag=True, help="Show its times and what is in their way; nothing is kept."
)
@target_options
@json_option
def create(
    label: str, agent: str | None, words: tuple[str, ...], *, as_json: bool, **given: Any
) -> int:
    """Have an action called, or a plan run, again and again."""
    if not LABEL.match(label):
        raise click.UsageError(f"{label!r:.60}: a label is letters, digits, dots, dashes and _")
    org = FLEET if given["is_fleet"] else given["org"]
    rule, bounds, target = take_rule(given), take_bounds(given), take_target(given)
    if rule is None or rule.keys() == {"zone"}:
        raise click.UsageError("say when: --every, --cron, --rrule or --at")
    asked = fleet(org)
    wanted = {
        "label": label,
        "work": _work_of(asked, agent, words, target, given),
        "rule": rule,
        "description": given["description"] or "",
        "enabled": not given["disabled"],
        **bounds,
    }
    if given["dry_run"]:
        return show_check(asked.tell("schedules", "check", wish=wanted), as_json=as_json)
    return tell_schedule(asked, asked.tell("schedules", wish=wanted), as_json=as_json)


def _work_of(
    asked: Fleet, agent: str | None, words: tuple[str, ...], target: Target, given: dict[str, Any]
) -> dict[str, Any]:
    """What is to be done: the action that is named, or the plan in the file."""
    action, file, params = given["action"], given["file"], given["params"]
    if given["template"] is not None:
        if agent is not None or file is not None:
            raise click.UsageError("an action, --plan and --template exclude each other")
        return _template_work(asked, given["template"], params, target)
    if file is not None:
        if agent is not None:
            raise click.UsageError("an action and --plan exclude each other")
        from fleetjobs.cli.plans import fill_file

        _, plan = fill_file(file, params)
        if target != Target():
            plan = msgspec.structs.replace(plan, target=target)
        return {"plan": msgspec.to_builtins(plan)}
    if agent is None or action is None:
        raise click.UsageError("say what: AGENT ACTION, --plan FILE, or --template LABEL")
    declared = find_action(asked, agent, action)
    call = {
        "agent": agent,
        "action": action,
        "data": inputs_of(declared, words),
        "target": msgspec.to_builtins(aim(target, agent)),
    }
    return {"call": call if given["retries"] is None else call | {"retries": given["retries"]}}


def _template_work(
    asked: Fleet, name: str, words: tuple[str, ...], target: Target
) -> dict[str, Any]:
    """A template with values. Raises InvalidInput, Problem (404)."""
    from fleetjobs.client.templates import Template
    from fleetjobs.plans.parameters import parse_parameters
    from fleetjobs.plans.reading import read_plan

    label, _, number = name.partition("@")
    if number and not number.isdecimal():
        raise click.UsageError(f"--template {name}: a version is a number: {label}@3")
    found = Template.find(asked, label, int(number) if number else None)
    declared = read_plan(found.document["text"], found.label).parameters
    call: dict[str, Any] = {"name": label, "params": parse_parameters(declared, words)}
    if number:
        call["version"] = int(number)
    if target != Target():
        call["target"] = msgspec.to_builtins(target)
    return {"template": call}
