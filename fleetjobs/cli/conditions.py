"""Options that say when a job may start, what it waits for, and how often it is tried."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import click

from fleetjobs.cli.commands import panel
from fleetjobs.cli.find_job import find_job
from fleetjobs.cli.rolling import ROLLOUT, ROLLOUT_OPTIONS, take_rollout
from fleetjobs.cli.screen import line, stderr
from fleetjobs.cli.words import Duration
from fleetjobs.client.asking import utc_now
from fleetjobs.client.conditions import Conditions, make_conditions
from fleetjobs.client.fleet import Fleet
from fleetjobs.client.replies import Document
from fleetjobs.times import EXAMPLES, say_time

TOLD = "success,failure,attention"  #: if nobody says otherwise
C = TypeVar("C", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--at",
        metavar="TIME",
        help=f"Not before then: {EXAMPLES}. What it is taken for is shown.",
    ),
    click.option("--delay", type=Duration(), metavar="DURATION", help="So long from now: 90s, 2h."),
    click.option(
        "--start-before",
        metavar="TIME|never",
        help="Nodes that have not begun by then never will. By default an hour after --at, "
        "else a day.",
    ),
    click.option(
        "--after",
        multiple=True,
        metavar="JOB[@NODE][:HOW]",
        help="Wait until that job, or its run on that node, has ended so: succeeded (the default), "
        "failed, completed or always. Several may be given. If it ends otherwise, this one is "
        "skipped.",
    ),
    click.option(
        "--retries",
        type=click.IntRange(0, 100),
        metavar="N",
        help="Try so often again where it fails; by default as the action declares.",
    ),
    click.option(
        "--splay",
        type=Duration(),
        default=timedelta(),
        metavar="DURATION",
        help="Its nodes begin spread over so long: 10m; each has its place in it.",
    ),
    click.option(
        "--priority",
        type=click.IntRange(-100, 100),
        default=0,
        metavar="N",
        help="Where an action has a limit: the higher goes first, from -100 to 100; 0.",
    ),
    click.option(
        "--notify",
        multiple=True,
        metavar="SINK",
        help="Tell of it: mail:ops@example.org or webhook:https://example.org/hook.",
    ),
    click.option(
        "--on",
        metavar="TOPICS",
        help="What is told: start, success, failure, attention, duration:10m; by default "
        "success,failure,attention.",
    ),
    click.option("--background", is_flag=True, help="Come back at once with the job's id."),
)
CONDITION_OPTIONS = [
    "--at", "--delay", "--start-before", "--after", "--retries", "--splay", "--priority",
    "--notify", "--on", "--background",
]  # fmt: skip


def condition_options(command: C) -> C:
    """Let a command take conditions; read them by `take_conditions`."""
    for option in reversed((*_OPTIONS, *ROLLOUT)):
        command = option(command)
    return panel("Batch after batch", ROLLOUT_OPTIONS)(command)


def take_conditions(given: dict[str, Any], asked: Fleet) -> Conditions:
    """The conditions of a command's parameters, taken out of them; times are shown.

    Raises InvalidTime, InvalidDocument, InvalidRollout, NotFound.
    """
    at, delay = given.pop("at"), given.pop("delay")
    if at is not None and delay is not None:
        raise click.UsageError("--at and --delay exclude each other")
    conditions = make_conditions(
        utc_now(),
        at=at,
        delay=delay,
        after=[_whole(asked, text) for text in given.pop("after")],
        start_before=given.pop("start_before"),
        retries=given.pop("retries"),
        rollout=take_rollout(given),
        priority=given.pop("priority"),
        splay=given.pop("splay"),
    )
    show_times(conditions)
    return conditions


def take_notices(given: dict[str, Any]) -> dict[str, Any] | None:
    """Whom to tell of the job, taken out of a command's parameters; None: nobody."""
    sinks, topics = given.pop("notify"), given.pop("on")
    if topics is not None and not sinks:
        raise click.UsageError("--on says what is told, --notify to whom; give both")
    return {"to": list(sinks), "on": topics or TOLD} if sinks else None


def is_later(given: dict[str, Any]) -> bool:
    """Whether nobody is to wait for the replies."""
    return bool(given["background"] or given["at"] or given["delay"] is not None)


def show_times(conditions: Conditions) -> None:
    """Say what the times were taken for, before anything is asked for."""
    screen = stderr()
    if conditions.not_before is not None:
        screen.write(f"Not before {say_time(conditions.not_before)}")
        if conditions.keep:
            screen.write("Not after  any time: it waits for its nodes")
    if conditions.start_before is not None:
        screen.write(f"Not after  {say_time(conditions.start_before)}")
    screen.flush()


def warn(found: Document) -> None:
    """Say what stands in the way of what was asked for, or would be."""
    screen = stderr()
    for warning in found.get("warnings", ()):
        screen.write(f"{screen.paint('warning', 'yellow')}: {line(warning)}")
    screen.flush()


def _whole(asked: Fleet, text: str) -> str:
    """With the id in place of `last`."""
    found = re.match(r"[^@:]*", text)
    name: str = found[0] if found else ""
    job: str = find_job(asked, name)["id"]
    return job + text[len(name) :]
