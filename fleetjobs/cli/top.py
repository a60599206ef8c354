"""`fj top`: what runs and what waits, as it changes."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from io import StringIO
from itertools import count as counting
from time import sleep

import click

from fleetjobs.cli.columns import Column, draw
from fleetjobs.cli.commands import command
from fleetjobs.cli.documents import in_json, is_plan, style_of
from fleetjobs.cli.exits import EPILOG, Exit
from fleetjobs.cli.screen import Screen, line, stdout
from fleetjobs.cli.session import fleet
from fleetjobs.cli.words import Duration, ago, span
from fleetjobs.client.fleet import Fleet
from fleetjobs.client.replies import Document
from fleetjobs.clocks import now as clock_now
from fleetjobs.errors import ServerAway

#: what stands first; within a state the longest there is first
ORDER = ("cancelling", "reverting", "running", "paused", "queued", "waiting", "scheduled")
LIVE = ORDER[:-1]  #: what is for later is no news
MOST = 200  #: jobs that are asked for
LOOKED_THROUGH = 1000  #: of the newest jobs, for the newest of each action
ENTER, LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
HOME, REST, TAIL = "\x1b[H", "\x1b[K", "\x1b[J"


@command(epilog=EPILOG)
@click.option("-n", "--iterations", type=click.IntRange(1), metavar="N", help="Look so often.")
@click.option(
    "--every", type=Duration(), default="2s", metavar="DURATION", help="Look again after that; 2s."
)
@click.option("--each-action", is_flag=True, help="The newest job of each action, ended ones too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, once.")
def top(*, iterations: int | None, every: timedelta, each_action: bool, as_json: bool) -> int:
    r"""Show what runs and what waits, as it changes; ctrl-C ends it.

    Where its output is no terminal it prints once.

    [bold]Examples[/]

    \b
      fj top
      fj top --each-action -n 1
    """
    asked, screen = fleet(), stdout()
    if as_json:
        screen.write(in_json({"items": _find(asked, each_action=each_action)}))
        return Exit.OK
    if iterations == 1 or not screen.is_terminal:
        for number in range(iterations or 1):
            if number:
                sleep(every.total_seconds())
            screen.write(_picture(asked, screen, each_action=each_action))
            screen.flush()
        return Exit.OK
    with _whole_screen(screen):
        for number in counting(1):
            _show(screen, _try(asked, screen, each_action=each_action))
            if number == iterations:
                break
            sleep(every.total_seconds())
    return Exit.OK


@contextmanager
def _whole_screen(screen: Screen) -> Iterator[None]:
    """Have the terminal to ourselves, and give it back as it was; ctrl-C is the way to end."""
    screen.file.write(ENTER)
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        screen.file.write(LEAVE)
        screen.flush()


def _show(screen: Screen, text: str) -> None:
    """Over what was there, so that nothing flickers; no more lines than there are."""
    lines = text.splitlines()[: shutil.get_terminal_size().lines - 1]
    screen.file.write(HOME + "".join(f"{each}{REST}\n" for each in lines) + TAIL)
    screen.flush()


def _try(asked: Fleet, screen: Screen, *, each_action: bool) -> str:
    try:
        return _picture(asked, screen, each_action=each_action)
    except ServerAway as away:
        return screen.paint(f"{clock_now().astimezone():%H:%M:%S}  {away}", "yellow")


def _picture(asked: Fleet, screen: Screen, *, each_action: bool) -> str:
    """All that is shown, as text."""
    file = StringIO()
    canvas = screen._replace(file=file)
    canvas.write(_headline(canvas, asked.status()))
    jobs = _find(asked, each_action=each_action)
    if jobs:
        _table(canvas, jobs)
    else:
        canvas.write("Nothing runs and nothing waits." if not each_action else "No jobs yet.")
    return file.getvalue().rstrip("\n")


def _headline(screen: Screen, status: Document) -> str:
    jobs = status["jobs"]
    counts = ", ".join(
        f"{jobs[state]} {screen.paint(state, style_of(state) or 'bold')}"
        for state in ORDER
        if jobs.get(state)
    )
    nodes = status["nodes"]
    silent = (
        f", {screen.paint(str(nodes['silent']) + ' silent', 'yellow')}" if nodes["silent"] else ""
    )
    wait = status.get("attention")
    attention = f"  {screen.paint(f'{wait} need a person', 'yellow')}" if wait else ""
    at = f"{clock_now().astimezone():%H:%M:%S}"
    return f"{at}  {nodes['alive']} nodes alive{silent}  jobs: {counts or 'none live'}{attention}"


def _find(asked: Fleet, *, each_action: bool) -> list[Document]:
    """The jobs to show, in their order."""
    if each_action:
        newest: dict[str, Document] = {}
        for job in asked.jobs([], most=LOOKED_THROUGH):
            newest.setdefault(f"{job['agent']}.{job['action']}", job)
        return [newest[name] for name in sorted(newest)]
    jobs = list(asked.jobs([("state", state) for state in LIVE], most=MOST))
    return sorted(jobs, key=lambda job: (ORDER.index(job["state"]), job["created_at"]))


def _table(screen: Screen, jobs: list[Document]) -> None:
    now = clock_now()
    columns = [
        *(Column("job", "bold"), Column("state", style_of), Column("why", wraps=True)),
        *(Column("action", wraps=True), Column("nodes", right=True), Column("done", right=True)),
        *(Column("caller", wraps=True), Column("asked"), Column("runs for", right=True)),
    ]
    rows = [
        [
            job["id"],
            job["state"],
            job["reason"] or job["wait_reason"],
            line(f"{job['agent']}.{job['action']}"),
            f"{job['parts']} legs" if is_plan(job) else job["nodes"],
            _done(job),
            job["caller"],
            ago(job["created_at"], now),
            _lasts(job, now),
        ]
        for job in jobs
    ]
    draw(screen, columns, rows)


def _done(job: Document) -> str:
    percent = job.get("percent_complete")
    return "" if percent is None else f"{percent:.0f} %"


def _lasts(job: Document, now: datetime) -> str:
    """How long it has been at work, or was."""
    if job["started_at"] is None:
        return ""
    end = now if job["ended_at"] is None else datetime.fromisoformat(job["ended_at"])
    return span(max(end - datetime.fromisoformat(job["started_at"]), timedelta()))
