"""`fj attention`: what waits for a person."""

from fleetjobs.cli.columns import Column, draw, fits
from fleetjobs.cli.commands import group
from fleetjobs.cli.documents import in_json, style_of
from fleetjobs.cli.exits import EPILOG, Exit
from fleetjobs.cli.node_warnings import tell_warnings
from fleetjobs.cli.options import json_option
from fleetjobs.cli.screen import Screen, line, stderr, stdout
from fleetjobs.cli.session import fleet, program
from fleetjobs.cli.words import ago, local
from fleetjobs.client.replies import Document
from fleetjobs.clocks import now as clock_now

WHAT = {
    "lost": "the node fell silent at work",
    "denied": "it was not allowed",
    "attempts_exhausted": "it failed too often",
    "rollout": "its batch waits for you",
    "rollback_stuck": "it could not be undone",
}
TOLD = {"attempts_exhausted", "rollback_stuck"}  #: of these its action tells more


@group(epilog=EPILOG)
def attention() -> None:
    """List what waits for a person to decide."""


@attention.command("list", epilog=EPILOG)
@json_option
def list_(*, as_json: bool) -> int:
    """List the runs that wait for a person, and why; and nodes with which something is wrong.

    [bold]Examples[/]

    fj attention list
    """
    asked, screen = fleet(), stdout()
    items = list(asked.attention())
    if as_json:
        screen.write(in_json({"items": items}))
        return Exit.OK
    warnings = asked.status().get("warnings", ())
    if not items and not warnings:
        stderr().write("Nothing waits for a person.")
    if items:
        _table(screen, items)
        _say_what_to_do(screen)
    tell_warnings(screen, warnings)
    return Exit.OK


def _table(screen: Screen, items: list[Document]) -> None:
    now = clock_now()
    of_plans = [Column("leg")] if any(item.get("leg") for item in items) else []
    columns = [
        Column("job", "bold"),
        Column("node"),
        Column("state", style_of),
        Column("action", wraps=True),
        *of_plans,
        Column("why", wraps=True),
        Column("began"),
        Column("given up"),
    ]
    rows = [
        [
            item["job"],
            item["node"],
            item["state"],
            f"{item['agent']}.{item['action']}",
            *(item.get("leg") for _ in of_plans),
            _why(item),
            ago(item["started_at"], now),
            local(item["give_up_at"]) or "never",
        ]
        for item in items
    ]
    if fits(screen, columns, rows):
        draw(screen, columns, rows)
    else:
        _by_job(screen, items)


def _by_job(screen: Screen, items: list[Document]) -> None:
    """Each job once, with its nodes below: where a table would leave out why it waits."""
    now = clock_now()
    last = None
    for item in items:
        if item["job"] != last:
            of = f"  leg {line(item['leg'])} of {line(item['plan'])}" if item.get("leg") else ""
            action = line(f"{item['agent']}.{item['action']}")
            screen.write_folded(f"{screen.paint(line(item['job']), 'bold')}  {action}{of}", 3)
            last = item["job"]
        began = f"began {ago(item['started_at'], now)}, " if item["started_at"] else ""
        until = local(item["give_up_at"]) or "never"
        words = [line(item["node"]), screen.paint(line(item["state"]), "yellow"), line(_why(item))]
        screen.write_folded(f"   {'  '.join(words)}; {began}given up: {until}", 6)


def _why(item: Document) -> str:
    """`it failed too often (2 tries): no such volume`."""
    why = str(WHAT.get(item["reason"], item["reason"]))
    if item["reason"] not in TOLD or not item.get("statusmsg"):
        return why
    tries = item.get("tries", 1)
    return f"{why} ({tries} tr{'y' if tries == 1 else 'ies'}): {item['statusmsg']}"


def _say_what_to_do(screen: Screen) -> None:
    screen.write()
    screen.write_folded(
        "A node that comes back settles its runs; without it they fail when given up. Else:", 0
    )
    for verb, about in (
        ("retry JOB", "try again"),
        ("retry JOB --to LEG", "having undone that leg first"),
        ("resume JOB", "go on, with the next batch"),
        ("resolve JOB --as succeeded|failed", "say what came of it"),
        ("skip JOB", "of a plan: leave the leg out"),
        ("rollback PLAN", "undo what the plan has done"),
        ("cancel JOB", "call it off"),
    ):
        screen.write(f"   {program()} job {verb:<34}  {about}")
