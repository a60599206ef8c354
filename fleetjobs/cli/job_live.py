"""`fj job show --live`: what the nodes of a job have on their disks, asked of them now."""

from fleetjobs.cli.columns import Column, draw
from fleetjobs.cli.documents import in_json, style_of
from fleetjobs.cli.exits import Exit
from fleetjobs.cli.screen import Screen, line, stdout
from fleetjobs.cli.words import headway, local
from fleetjobs.client.fleet import Fleet
from fleetjobs.client.replies import Document


def show_live(asked: Fleet, job: Document, node: str | None, *, as_json: bool) -> int:
    """Ask, show what came, and name who did not answer; the exit code says whether all did."""
    found = asked.live(job["id"], [("node", node)])
    screen = stdout()
    if as_json:
        screen.write(in_json({**job, "live": found["items"], "silent": found["silent"]}))
        return _exit(found)
    _table(screen, found)
    for item in found["items"]:
        if item["error"]:
            screen.write(f"{line(item['node'])}: {line(item['error'])}")
        elif not item["runs"]:
            screen.write(f"{line(item['node'])} has nothing of it.")
    if found["silent"]:
        names = ", ".join(line(name) for name in found["silent"])
        screen.write(screen.paint(f"Did not answer: {names}", "yellow"))
    return _exit(found)


def _table(screen: Screen, found: Document) -> None:
    columns = [
        Column("node", "bold"),
        Column("attempt", right=True),
        Column("stage"),
        Column("state", style_of),
        Column("message", wraps=True),
        Column("progress", wraps=True),
        Column("started"),
        Column("ended"),
        Column("stdout", right=True),
        Column("stderr", right=True),
    ]
    rows = [
        [
            item["node"],
            run.get("attempt"),
            run.get("stage"),
            run.get("state"),
            run.get("statusmsg"),
            headway(run.get("progress")),
            local(run.get("started_at")),
            local(run.get("ended_at")),
            run.get("stdout_size", 0),
            run.get("stderr_size", 0),
        ]
        for item in found["items"]
        for run in item["runs"]
    ]
    if rows:
        draw(screen, columns, rows)


def _exit(found: Document) -> Exit:
    if not found["silent"]:
        return Exit.OK
    return Exit.FAILED if found["items"] else Exit.NO_REPLY
