"""`fj schedule`: work that recurs by a rule."""

from typing import Any

import click

from fleetjobs.cli.columns import Column, draw
from fleetjobs.cli.commands import group
from fleetjobs.cli.complete import (
    schedule_labels,
)
from fleetjobs.cli.conditions import warn
from fleetjobs.cli.documents import in_json
from fleetjobs.cli.exits import EPILOG, Exit
from fleetjobs.cli.listing import show_list
from fleetjobs.cli.options import json_option
from fleetjobs.cli.rpc import find_action
from fleetjobs.cli.schedule_making import create
from fleetjobs.cli.schedule_options import schedule_options, take_bounds, take_rule
from fleetjobs.cli.schedule_views import (
    next_time,
    say_work,
    show_schedule,
    show_shared,
    show_times,
    tell_schedule,
)
from fleetjobs.cli.screen import line, stdout
from fleetjobs.cli.session import fleet, program
from fleetjobs.cli.words import local
from fleetjobs.client.fleet import Fleet

SHOWN = 5  #: of the times that are to come

_label = click.argument("label", shell_complete=schedule_labels)


@group(epilog=EPILOG)
def schedule() -> None:
    """Have work done again and again: by an interval, a clock, or a list of times."""


schedule.add_command(create)


@schedule.command("list", epilog=EPILOG)
@click.option("--all", "ended", is_flag=True, help="Deleted ones, too.")
@click.option("--fleet", "is_fleet", is_flag=True, help="What the fleet does, roughly; if shared.")
@json_option
def list_(*, ended: bool, is_fleet: bool, as_json: bool) -> int:
    """List the schedules, and when each comes next; a fleet admin sees everybody's."""
    if is_fleet:
        return show_shared(fleet().transport.get("fleet-schedules"), as_json=as_json)
    query = [("ended", "true")] if ended else []
    items = list(fleet().pages("schedules", query=query))
    columns = [
        Column("label", "bold"),
        Column("next"),
        Column("does", wraps=True),
        Column("rule", wraps=True),
        Column("jobs", right=True),
        Column("owner"),
        Column("of"),
    ]
    return show_list(
        {"items": items},
        columns,
        lambda item: [
            *(item["label"], next_time(item), say_work(item), item["rule"], item["made"]),
            *(item["owner"], item["org"] or "(fleet)"),
        ],
        as_json=as_json,
        if_none=f"There are no schedules; `{program()} schedule create --help` makes one.",
    )


@schedule.command(epilog=EPILOG)
@_label
@json_option
def show(label: str, *, as_json: bool) -> int:
    """Show a schedule, its next times, and what became of the last ones."""
    asked = fleet()
    found = asked.transport.get("schedules", label)
    if as_json:
        stdout().write(in_json(found))
        return Exit.OK
    screen = stdout()
    show_schedule(screen, found)
    show_times(screen, asked.transport.get("schedules", label, "preview"))
    past = asked.transport.get("schedules", label, "occurrences", query=[("limit", SHOWN)])
    if past["items"]:
        screen.write()
        rows = [
            [local(item["at"]), item["fate"], item["text"], item["job"]] for item in past["items"]
        ]
        draw(screen, [Column("came"), Column("fate"), Column("why"), Column("job")], rows)
    return Exit.OK


@schedule.command(epilog=EPILOG)
@_label
@click.argument("words", nargs=-1, metavar="[INPUT=VALUE]...")
@schedule_options
@click.option("--rename", metavar="LABEL", help="Another label.")
@json_option
def edit(label: str, words: tuple[str, ...], *, as_json: bool, **given: Any) -> int:
    """Change inputs or parameters, rule or bounds of a schedule; what is not named stays.

    From now on its jobs are asked for in your name. Jobs it made stay as they are.

    [bold]Examples[/]

    fj schedule edit nightly-restart --cron '30 4 * * *'
    """
    asked = fleet()
    rule, change = take_rule(given), take_bounds(given)
    found = asked.transport.get("schedules", label)
    if words:
        change["work"] = _reworded(asked, found["schedule"]["work"], words)
    if rule is not None:
        others = (
            {} if rule.keys() == {"zone"} else dict.fromkeys(("every_s", "cron", "rrule", "at"))
        )
        change["rule"] = others | rule
    if given["rename"]:
        change["label"] = given["rename"]
    if not change:
        raise click.UsageError("nothing is to be changed; name an input, a rule or a bound")
    changed = asked.tell("schedules", label, method="PATCH", wish=change)
    return tell_schedule(asked, changed, as_json=as_json)


def _reworded(asked: Fleet, work: dict[str, Any], words: tuple[str, ...]) -> dict[str, Any]:
    """What it does with other inputs, or other parameters of its template."""
    if "template" in work:
        from fleetjobs.client.templates import Template
        from fleetjobs.plans.parameters import parse_parameters
        from fleetjobs.plans.reading import read_plan

        wish = work["template"]
        template = Template.find(asked, wish["name"], wish.get("version"))
        declared = read_plan(template.document["text"], template.label).parameters
        return {"template": {"params": parse_parameters(declared, words)}}
    if "call" not in work:
        raise click.UsageError("it runs a plan; make it anew to change what it does")
    action = find_action(asked, work["call"]["agent"], work["call"]["action"])
    return {"call": {"data": action.parse_some(words)}}


@schedule.command(epilog=EPILOG)
@_label
@click.option("-n", "--count", type=click.IntRange(1, 1000), default=SHOWN, help="So many; 5.")
@json_option
def preview(label: str, *, count: int, as_json: bool) -> int:
    """Say when a schedule comes next, in its own zone."""
    found = fleet().transport.get("schedules", label, "preview", query=[("count", count)])
    screen = stdout()
    if as_json:
        screen.write(in_json(found))
    else:
        show_times(screen, found)
    return Exit.OK


@schedule.command(epilog=EPILOG)
@_label
@click.option("--cancel-running", is_flag=True, help="Cancel its jobs that have not ended, too.")
@json_option
def delete(label: str, *, cancel_running: bool, as_json: bool) -> int:
    """Let nothing come of it any more; its jobs and its history stay, its label is free."""
    query = [("cancel_running", "true")] if cancel_running else []
    found = fleet().transport.send("DELETE", "schedules", label, body=b"", query=query)
    stdout().write(in_json(found) if as_json else f"Deleted: {line(found['label'])}")
    return Exit.OK


@schedule.command(epilog=EPILOG)
@_label
@json_option
def enable(label: str, *, as_json: bool) -> int:
    """Let it go on; what came while it was disabled is not made up for."""
    asked = fleet()
    return tell_schedule(asked, asked.tell("schedules", label, "enable"), as_json=as_json)


@schedule.command(epilog=EPILOG)
@_label
@json_option
def disable(label: str, *, as_json: bool) -> int:
    """Set it aside until it is enabled; what is at work goes on."""
    found = fleet().tell("schedules", label, "disable")
    stdout().write(in_json(found) if as_json else f"Disabled: {line(found['label'])}")
    return Exit.OK


@schedule.command("run-now", epilog=EPILOG)
@_label
@json_option
def run_now(label: str, *, as_json: bool) -> int:
    """Ask for its job once more, at once; prints the job's id."""
    found = fleet().tell("schedules", label, "run-now")
    warn(found)
    stdout().write(in_json(found) if as_json else found["id"])
    return Exit.OK


@schedule.command("skip-next", epilog=EPILOG)
@_label
@click.option("-n", "--count", type=click.IntRange(0, 1000), default=1, help="So many; 0: none.")
@json_option
def skip_next(label: str, *, count: int, as_json: bool) -> int:
    """Leave out its next occurrence, on record as skipped."""
    asked = fleet()
    found = asked.tell("schedules", label, "skip-next", wish={"count": count})
    return tell_schedule(asked, found, as_json=as_json)


@schedule.command(epilog=EPILOG)
@json_option
def reinitialize(*, as_json: bool) -> int:
    """Have all of the org's schedules count from now on: for a clock that was set.

    What has come and was not looked at yet is left out.
    """
    found = fleet().tell("schedules", "reinitialize")
    number = found["schedules"]
    text = f"{number} {'schedule counts' if number == 1 else 'schedules count'} from now on."
    stdout().write(in_json(found) if as_json else text)
    return Exit.OK
