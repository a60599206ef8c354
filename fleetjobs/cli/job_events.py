"""`fj job events`: what happened to a job, and what happens."""

from collections.abc import Iterator

import click

from fleetjobs.cli.commands import command
from fleetjobs.cli.documents import in_json, style_of
from fleetjobs.cli.exits import EPILOG, Exit
from fleetjobs.cli.find_job import find_job, job_argument
from fleetjobs.cli.screen import Screen, line, stdout
from fleetjobs.cli.session import fleet
from fleetjobs.cli.words import local
from fleetjobs.client.fleet import Fleet
from fleetjobs.client.replies import Document


@command(epilog=EPILOG)
@job_argument
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended.")
@click.option("--jsonl", "as_json", is_flag=True, help="Print each event as a JSON line.")
def events(job: str, *, follow: bool, as_json: bool) -> int:
    """Show what happened to a job and its runs: when, who, from what to what, and why.

    [bold]Examples[/]

    fj job events last --follow
    """
    asked = fleet()
    name = find_job(asked, job)["id"]
    screen = stdout()
    for event in _followed(asked, name) if follow else asked.events(name):
        screen.write(in_json(event, indent=None) if as_json else _row(screen, event))
        screen.flush()
    return Exit.OK


def _followed(asked: Fleet, job: str) -> Iterator[Document]:
    from fleetjobs.client.stream import Stream

    stream = Stream(asked.transport, "jobs", job, "events")
    try:
        while True:
            event = stream.next(None)
            if event is None:
                continue
            if event.kind == "end":
                return
            if event.kind != "progress":  # which is no event of the log
                yield event.data
    finally:
        stream.close()


def _row(screen: Screen, event: Document) -> str:
    new = event.get("new")
    kind = screen.paint(line(event["kind"]), (style_of(new) if new else None) or "bold")
    move = f"{event['old']} → {new}" if event.get("old") and new else ""
    detail = event.get("detail") or {}
    words = [
        local(event.get("at")),
        kind,
        line(event.get("leg") or ""),
        line(event.get("node") or ""),
        move,
        f"({line(event['reason'])})" if event.get("reason") else "",
        f"by {line(event.get('actor') or '')}",
        line(in_json(detail, indent=None)) if detail else "",
    ]
    return "  ".join(word for word in words if word)
