"""Schedules as people see them."""

from datetime import datetime, timedelta

from fleetjobs.cli.columns import Column, draw
from fleetjobs.cli.documents import in_json
from fleetjobs.cli.exits import Exit
from fleetjobs.cli.screen import Screen, line, stderr, stdout
from fleetjobs.cli.words import local, span
from fleetjobs.client.fleet import Fleet
from fleetjobs.client.replies import Document


def tell_schedule(asked: Fleet, found: Document, *, as_json: bool) -> int:
    """A schedule that was made or changed, with its next times."""
    if as_json:
        stdout().write(in_json(found))
        return Exit.OK
    screen = stdout()
    show_schedule(screen, found)
    show_times(screen, asked.transport.get("schedules", found["id"], "preview"))
    return Exit.OK


def show_schedule(screen: Screen, found: Document) -> None:
    """What it does, when, and how far it has come."""
    screen.write(screen.paint(line(found["label"]), "bold") + f"  {found['id']}")
    for name, value in (
        ("does", say_work(found)),
        ("rule", found["rule"]),
        ("owner", found["owner"] + (", builtin" if found.get("builtin") else "")),
        ("jobs", found["made"]),
        ("next", next_time(found)),
        ("skips", found["skips"] or None),
        ("bounds", _bounds(found["schedule"])),
        ("about", found["schedule"].get("description")),
    ):
        if value not in (None, ""):
            screen.write(f"  {name:<6} {line(value)}")


#: of a schedule, what is shown where it is not as usual; a number of seconds as a duration
_BOUNDS = (
    *("overlap", "queue_limit", "misfire", "catch_up", "misfire_grace_s", "start_within_s"),
    *("jitter_s", "splay_s", "priority", "max_jobs", "active_from", "active_till"),
)


def _bounds(schedule: Document) -> str:
    """`overlap skip, splay 10 min, tells mail:ops@example.org`."""
    words = []
    for name in _BOUNDS:
        if name not in schedule:
            continue
        value = schedule[name]
        if name.endswith("_s"):
            value = span(timedelta(seconds=value))
        elif name.startswith("active"):
            value = local(value)
        words.append(f"{name.removesuffix('_s').replace('_', ' ')} {value}")
    sinks = schedule.get("notify")
    return ", ".join([*words, *([f"tells {' '.join(sinks)}"] if sinks else [])])


def show_shared(found: Document, *, as_json: bool) -> int:
    """What an org is told of the fleet's own schedules."""
    if as_json:
        stdout().write(in_json(found))
        return Exit.OK
    if not found["items"]:
        stderr().write("The fleet has no schedules, or shares none.")
        return Exit.OK
    rows = [
        [item["label"], item["does"], local(item["next_at"]), _on(item["enabled"])]
        for item in found["items"]
    ]
    draw(stdout(), [Column("label", "bold"), Column("does"), Column("next"), Column("is")], rows)
    return Exit.OK


def _on(enabled: bool) -> str:  # noqa: FBT001  it is what is said
    return "enabled" if enabled else "disabled"


def show_times(screen: Screen, preview: Document) -> None:
    """The times that are to come, in the rule's own zone."""
    if not preview["items"]:
        screen.write("  It does not come again.")
        return
    screen.write(f"  Next times, {line(preview['zone'])}:")
    clashes = {clash["at"]: clash for clash in preview.get("clashes", ())}
    for text in preview["items"]:
        when = f"{datetime.fromisoformat(text):%a %Y-%m-%d %H:%M:%S %z}"
        screen.write(f"    {when}{_say_clash(screen, clashes.get(text))}")
    if len(preview["items"]) == sum(clash["skipped"] for clash in clashes.values()):
        screen.write(screen.paint("  None of these becomes a job.", "yellow"))


def _say_clash(screen: Screen, clash: Document | None) -> str:
    """What windows make of one time."""
    if clash is None:
        return ""
    what = "skipped: " if clash["skipped"] else ""
    return "  " + screen.paint(f"{what}{line(clash['text'])}", "yellow")


def show_check(found: Document, *, as_json: bool) -> int:
    """What a schedule would come to."""
    screen = stdout()
    if as_json:
        screen.write(in_json(found))
        return Exit.OK
    count = len(found["nodes"])
    screen.write(f"{screen.paint(line(found['schedule']['label']), 'bold')}  nothing is kept.")
    screen.write(f"  does   {line(say_work(found))}")
    screen.write(f"  rule   {line(found['rule'])}")
    screen.write(f"  nodes  {count}, by now")
    show_times(screen, found["preview"])
    return Exit.OK


def next_time(item: Document) -> str:
    """When it comes next, or why not."""
    if item["ended_at"] is not None:
        return "deleted"
    if item.get("barred"):
        return "disabled (config)"
    if not item["enabled"]:
        return "disabled"
    return local(item["next_at"]) or "over"


def say_work(item: Document) -> str:
    """What it does, in a few words."""
    template = item["schedule"]["work"].get("template")
    if template is not None:
        pinned = f"@{template['version']}" if "version" in template else ""
        words = " ".join(f"{name}={value}" for name, value in template.get("params", {}).items())
        return f"template {template['name']}{pinned} {words}".rstrip()
    call = item["schedule"]["work"].get("call")
    if call is None:
        plan = item["schedule"]["work"]["plan"]
        return f"plan {plan.get('name', 'plan')}, {len(plan['legs'])} legs"
    words = " ".join(f"{name}={value}" for name, value in call.get("data", {}).items())
    return f"{call['agent']}.{call['action']} {words}".rstrip()
