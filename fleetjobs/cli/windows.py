"""`fj window`: when what may begin, and when nothing may."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click
import msgspec

from fleetjobs.cli.columns import Column, draw
from fleetjobs.cli.commands import group
from fleetjobs.cli.documents import in_json
from fleetjobs.cli.exits import EPILOG, Exit
from fleetjobs.cli.listing import show_list
from fleetjobs.cli.options import json_option, take_target, target_options
from fleetjobs.cli.screen import line, stdout
from fleetjobs.cli.session import fleet, program
from fleetjobs.cli.words import Duration, local
from fleetjobs.client.replies import Document

CREATE = """\
Say when what may begin, or when nothing may. What has begun goes on.

Where any window allows something, it may begin inside one of those only; a blackout beats them.
Times come from a rule and a length, or from an iCalendar file.

[bold]Examples[/]

\b
  fj window create nights --allowed --cron '0 1 * * *' --lasts 4h --tz Europe/Prague -C web
  fj window create month-end --blackout --rrule 'FREQ=MONTHLY;BYMONTHDAY=-1' --lasts 1d
  fj window create holidays --blackout --ical holidays.ics --fleet
"""


@group(epilog=EPILOG)
def window() -> None:
    """Say when what may begin, and when nothing may."""


def _time_options(command: Any) -> Any:
    for option in (
        click.option("--cron", metavar="CRON", help="They begin so: five fields, or @daily."),
        click.option("--rrule", metavar="RULE", help="They begin so: RFC 5545."),
        click.option("--lasts", type=Duration(), metavar="DURATION", help="So long: 4h, 1d."),
        click.option("--tz", metavar="ZONE", help="Of the rule: Europe/Prague; else UTC."),
        click.option(
            "--ical",
            type=click.Path(path_type=Path, dir_okay=False, exists=True),
            metavar="FILE",
            help="The events of this iCalendar file instead of a rule.",
        ),
    ):
        command = option(command)
    return command


_resolve = click.option(
    "--resolve",
    metavar="WAYS",
    default="refuse",
    help="What becomes of jobs whose time is no longer inside: next, nearest or previous (another "
    "time), cancel, refuse; several are tried in order: next,cancel. Default: refuse.",
)
_dry_run = click.option("--dry-run", is_flag=True, help="Show what would become of whom.")


@window.command(help=CREATE, epilog=EPILOG)
@click.argument("name")
@click.option("--allowed", "kind", flag_value="allowed", help="They may begin then.")
@click.option("--blackout", "kind", flag_value="blackout", help="Nothing begins then.")
@_time_options
@target_options
@click.option("--fleet", "everybody", is_flag=True, help="Of all orgs, not of yours alone.")
@_resolve
@_dry_run
@json_option
def create(
    name: str, *, kind: str | None, everybody: bool, resolve: str, dry_run: bool, **given: Any
) -> int:
    """Say when what may begin, or when nothing may."""
    if kind is None:
        raise click.UsageError("say which it is: --allowed or --blackout")
    as_json = given.pop("as_json")
    wish = {
        "name": name,
        "kind": kind,
        "fleet": everybody,
        "target": msgspec.to_builtins(take_target(given)),
        **_times(given, needed=True),
    }
    return _send("POST", ("windows",), wish, resolve, dry_run=dry_run, as_json=as_json)


def _times(given: dict[str, Any], *, needed: bool) -> dict[str, Any]:
    """The times as the interface takes them; nothing if none are given and none are needed."""
    cron, rrule, file = given.pop("cron"), given.pop("rrule"), given.pop("ical")
    lasts: timedelta | None = given.pop("lasts")
    zone = given.pop("tz")
    asked = [each for each in (cron, rrule, file) if each is not None]
    if not asked and not needed and lasts is None and zone is None:
        return {}
    if len(asked) != 1:
        raise click.UsageError("say when: one of --cron, --rrule and --ical")
    if file is not None:
        if lasts is not None or zone is not None:
            raise click.UsageError("--ical says itself how long and where; leave --lasts and --tz")
        return {"calendar": file.read_text(errors="replace")}
    if lasts is None:
        raise click.UsageError("say how long they last: --lasts 4h")
    rule = {"cron": cron} if cron is not None else {"rrule": rrule}
    rule |= {"zone": zone} if zone else {}
    opening = {"rule": rule, "lasts_s": lasts.total_seconds(), "anchor": _midnight(zone)}
    return {"openings": [opening]}


def _midnight(zone: str | None) -> str:
    """From where a rule counts: a day begins where its zone is. Raises UsageError."""
    try:
        there = ZoneInfo(zone or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise click.UsageError(f"{zone!r} is no time zone; write one like Europe/Prague") from None
    return datetime(2020, 1, 1, tzinfo=there).isoformat()


def _send(
    method: str,
    path: tuple[str, ...],
    wish: Mapping[str, Any],
    resolve: str,
    *,
    dry_run: bool,
    as_json: bool,
) -> int:
    query = [("resolve", resolve), ("dry_run", "true" if dry_run else None)]
    body = msgspec.json.encode(wish)
    found: Document = fleet().transport.send(method, *path, body=body, query=query)
    screen = stdout()
    if as_json:
        screen.write(in_json(found))
        return Exit.OK
    screen.write(f"{'Would keep' if dry_run else 'Kept'}: {line(found['name'])}, {_now(found)}")
    for gone in found["displaced"]:
        where = "cancelled" if gone["moved_to"] is None else f"moved to {local(gone['moved_to'])}"
        screen.write(f"  {line(gone['job'])} was to begin {local(gone['not_before'])}: {where}")
    return Exit.OK


@window.command("list", epilog=EPILOG)
@json_option
def list_(*, as_json: bool) -> int:
    """List the windows, and how each stands now."""
    return show_list(
        fleet().transport.get("windows"),
        [Column("name", "bold"), Column("kind"), Column("of"), Column("now", wraps=True)],
        lambda item: [item["name"], item["kind"], item["org"] or "the fleet", _now(item)],
        as_json=as_json,
        if_none=f"There are no windows; `{program()} window create --help` makes one.",
    )


@window.command(epilog=EPILOG)
@click.argument("name")
@json_option
def show(name: str, *, as_json: bool) -> int:
    """Show a window and its next times."""
    asked, screen = fleet(), stdout()
    found = asked.transport.get("windows", name)
    if as_json:
        screen.write(in_json(found))
        return Exit.OK
    screen.write(f"{line(found['name'])}  {found['kind']}  {_now(found)}")
    target = ", ".join(f"{key} {value}" for key, value in found["target"].items())
    screen.write(f"of {line(found['org'] or 'the fleet')}: {line(target) or 'every node'}")
    for opening in found["openings"]:
        rule = " ".join(f"{key}={value}" for key, value in opening["rule"].items())
        screen.write(f"  {line(rule)}, {timedelta(seconds=opening['lasts_s'])} each")
    _draw_times(asked.transport.get("windows", name, "preview"))
    return Exit.OK


@window.command(epilog=EPILOG)
@click.argument("name")
@click.option("-n", "--count", type=click.IntRange(1, 1000), default=5, help="So many; 5.")
@json_option
def preview(name: str, *, count: int, as_json: bool) -> int:
    """Say when a window's next times begin and end."""
    found = fleet().transport.get("windows", name, "preview", query=[("count", count)])
    if as_json:
        stdout().write(in_json(found))
    else:
        _draw_times(found)
    return Exit.OK


@window.command(epilog=EPILOG)
@click.argument("name")
@_time_options
@_resolve
@_dry_run
@json_option
def edit(name: str, *, resolve: str, dry_run: bool, as_json: bool, **given: Any) -> int:
    """Give a window other times; whose it is and its nodes stay.

    [bold]Examples[/]

    fj window edit nights --cron '0 2 * * *' --lasts 3h --resolve nearest,cancel
    """
    times = _times(given, needed=True)
    found = fleet().transport.get("windows", name)
    wish = {"name": name, "kind": found["kind"], "target": found["target"], **times}
    wish["fleet"] = found["org"] is None
    return _send("PUT", ("windows", name), wish, resolve, dry_run=dry_run, as_json=as_json)


@window.command(epilog=EPILOG)
@click.argument("name")
@json_option
def delete(name: str, *, as_json: bool) -> int:
    """Forget a window; who waited for it is looked at again."""
    found: Document = fleet().transport.send("DELETE", "windows", name, body=b"")
    stdout().write(in_json(found) if as_json else f"Deleted: {line(found['name'])}")
    return Exit.OK


def _now(item: Document) -> str:
    change = f" until {local(item['next_at'])}" if item["next_at"] else ""
    if item["is_in"]:
        return f"in force{change}"
    return f"not now; next {local(item['next_at'])}" if item["next_at"] else "over"


def _draw_times(found: Document) -> None:
    rows = [[local(item["start"]), local(item["end"])] for item in found["items"]]
    if rows:
        draw(stdout(), [Column("from"), Column("until")], rows)
