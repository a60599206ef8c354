"""Options that say when work recurs, and what becomes of times that cannot be kept."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import click

from fleetjobs.cli.commands import panel
from fleetjobs.cli.words import Duration
from fleetjobs.client.asking import utc_now
from fleetjobs.client.conditions import read_moment
from fleetjobs.times import EXAMPLES

C = TypeVar("C", bound=Callable[..., Any])

_RULES = ("every", "cron", "rrule", "at")
_OPTIONS = (
    click.option(
        "--every",
        type=Duration(),
        metavar="DURATION",
        help="Again and again after so long: 10m, 2h, 1d.",
    ),
    click.option(
        "--cron",
        metavar="'M H D M W'",
        help="Five fields as cron has them (minute, hour, day, month, weekday; names, L and # "
        "too), or @daily and its like.",
    ),
    click.option("--rrule", metavar="RULE", help="RFC 5545: 'FREQ=WEEKLY;BYDAY=TU;BYHOUR=4'."),
    click.option("--at", multiple=True, metavar="TIME", help=f"At these times: {EXAMPLES}."),
    click.option(
        "--tz",
        "zone",
        metavar="ZONE",
        help="Where --cron and --rrule look at the clock: Europe/Prague; UTC by default.",
    ),
    click.option("--active-from", metavar="TIME", help="Not before then."),
    click.option("--active-till", metavar="TIME", help="Not after then."),
    click.option("--max-jobs", type=click.IntRange(1), metavar="N", help="Only so many times."),
    click.option(
        "--jitter", type=Duration(), metavar="DURATION", help="Each time up to so much later."
    ),
    click.option(
        "--splay",
        type=Duration(),
        metavar="DURATION",
        help="Its nodes begin spread over so long; each has the same place in it every time.",
    ),
    click.option(
        "--priority",
        type=click.IntRange(-100, 100),
        metavar="N",
        help="Of its jobs, where an action has a limit: the higher goes first, from -100 to 100.",
    ),
    click.option(
        "--misfire",
        type=click.Choice(["run_once", "run_all", "skip"]),
        help="If nobody was there at its time: one job for all that were missed (the default), "
        "one for each, or none.",
    ),
    click.option(
        "--grace",
        type=Duration(),
        metavar="DURATION",
        help="What is later than that is not made up for; 15m by default.",
    ),
    click.option(
        "--overlap",
        type=click.Choice(
            ["queue_one", "coalesce", "skip", "queue_all", "allow", "cancel_previous"]
        ),
        help="While an earlier job lives: one waits and the rest is skipped (the default), it is "
        "skipped, all wait, both run, or the earlier one is cancelled.",
    ),
    click.option(
        "--start-within",
        type=Duration(),
        metavar="DURATION",
        help="Nodes that are away may be so late; 1h.",
    ),
    click.option(
        "--notify",
        multiple=True,
        metavar="SINK",
        help="Tell when its jobs begin to fail, and when they succeed again: "
        "mail:ops@example.org, webhook:https://example.org/hook; none: nobody.",
    ),
)
RULE_OPTIONS = ["--every", "--cron", "--rrule", "--at", "--tz"]
BOUND_OPTIONS = [
    "--active-from", "--active-till", "--max-jobs", "--jitter", "--splay", "--priority",
    "--misfire", "--grace", "--overlap", "--start-within", "--notify",
]  # fmt: skip


def schedule_options(command: C) -> C:
    """Let a command take a rule and its bounds; read them by `take_rule` and `take_bounds`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    command = panel("When it recurs", RULE_OPTIONS)(command)
    return panel("Bounds", BOUND_OPTIONS)(command)


def take_rule(given: dict[str, Any]) -> dict[str, Any] | None:
    """The rule of a command's parameters, taken out of them; None if none is given.

    Raises InvalidTime, and UsageError for two.
    """
    found = {name: given.pop(name) for name in _RULES}
    zone = given.pop("zone")
    said = [name for name in _RULES if found[name] not in (None, ())]
    if len(said) > 1:
        raise click.UsageError(f"--{said[0]} and --{said[1]} exclude each other")
    if not said:
        return {"zone": zone} if zone else None
    value: Any = found[said[0]]
    if isinstance(value, timedelta):
        rule: dict[str, Any] = {"every_s": value.total_seconds()}
    elif said == ["at"]:
        rule = {"at": [read_moment(text, utc_now()).isoformat() for text in value]}
    else:
        rule = {said[0]: value}
    return rule | ({"zone": zone} if zone else {})


def take_bounds(given: dict[str, Any]) -> dict[str, Any]:
    """The bounds of a command's parameters that were given, as a schedule's fields."""
    now = utc_now()
    found: dict[str, Any] = {}
    for name in ("active_from", "active_till"):
        text = given.pop(name)
        if text is not None:
            found[name] = read_moment(text, now).isoformat()
    for name, field in (
        ("jitter", "jitter_s"),
        ("splay", "splay_s"),
        ("grace", "misfire_grace_s"),
        ("start_within", "start_within_s"),
    ):
        span = given.pop(name)
        if span is not None:
            found[field] = span.total_seconds()
    for name in ("max_jobs", "priority", "misfire", "overlap"):
        value = given.pop(name)
        if value is not None:
            found[name] = value
    sinks = given.pop("notify")
    if sinks:
        found["notify"] = [] if sinks == ("none",) else list(sinks)
    return found
