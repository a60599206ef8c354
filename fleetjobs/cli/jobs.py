"""`fj job`: list jobs, look at one, wait for it, read what it wrote."""

from datetime import timedelta
from time import monotonic
from typing import Any

import click

from fleetjobs.cli.columns import Column, draw
from fleetjobs.cli.commands import group
from fleetjobs.cli.complete import node_names
from fleetjobs.cli.documents import in_json, is_plan, style_of
from fleetjobs.cli.exits import EPILOG, Exit
from fleetjobs.cli.find_job import find_job, job_argument
from fleetjobs.cli.job_logs import find_runs, follow_logs, show_logs
from fleetjobs.cli.job_views import details, header, runs_table
from fleetjobs.cli.lazy import LazyGroup
from fleetjobs.cli.screen import stderr, stdout
from fleetjobs.cli.session import fleet, program
from fleetjobs.cli.words import Duration, Moment, ago, took_s
from fleetjobs.client.fleet import Fleet
from fleetjobs.client.replies import Document
from fleetjobs.clocks import now as clock_now
from fleetjobs.states import State

_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


LEGS_MOST = 100  #: of a plan, that are shown with it
#: legs of a bigger plan that are not: they wait for others, or went as they were to
DULL = frozenset({State.WAITING, State.SUCCEEDED, State.SKIPPED, State.CANCELLED})
_FILTERS = ("agent", "action", "caller", "node", "template", "schedule", "org")
_HERE = "fleetjobs.cli."
MORE = {  #: what is not needed to look at jobs is loaded when it is used
    "events": ("job_events:events", "Show what happened to a job, and what happens"),
    "graph": ("job_legs:graph", "Show a plan's legs as a tree"),
    "legs": ("job_legs:legs", "List a plan's legs and groups"),
    "edit": ("editing:edit", "Change what has not begun: inputs, time, nodes"),
    "cancel": ("verbs:cancel", "Call a job off; end what runs"),
    "hold": ("verbs:hold", "Set a job aside before it begins"),
    "release": ("verbs:release", "Let what was held go on"),
    "retry": ("verbs:retry", "Try again what went wrong"),
    "rerun": ("verbs:rerun", "Ask for the same once more: a new job"),
    "resume": ("verbs:resume", "Let what is paused go on"),
    "rollback": ("verbs:rollback", "Undo what a plan has done"),
    "skip": ("verbs:skip", "Leave out a leg that waits for a person"),
    "resolve": ("verbs:resolve", "Say what came of runs that wait for a person"),
}


@group(
    epilog=EPILOG,
    cls=LazyGroup,
    places={name: (_HERE + place, summary) for name, (place, summary) in MORE.items()},
)
def job() -> None:
    """List jobs, look at one, wait for it, change its life, read its logs.

    A JOB is its id, or `last`: the newest of your own.
    """


@job.command("list", epilog=EPILOG)
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([state.value for state in State]),
    metavar="STATE",
    help="Jobs in that state; several may be given.",
)
@click.option("--agent", metavar="AGENT", help="Jobs of that agent.")
@click.option("--action", metavar="ACTION", help="Jobs of that action.")
@click.option("--caller", metavar="ACCOUNT", help="Jobs of that account; `me`: your own.")
@click.option("--node", metavar="NODE", shell_complete=node_names, help="Jobs on that node.")
@click.option("--template", metavar="LABEL", help="Jobs of that template.")
@click.option("--schedule", metavar="ID", help="Jobs of that schedule.")
@click.option("--org", metavar="ORG", help="Jobs of that org, for who sees more than one.")
@click.option(
    "--since",
    type=Moment(),
    metavar="TIME",
    help="Asked for at that time or later: '2026-12-01 04:00', or 2h for two hours ago.",
)
@click.option("--until", type=Moment(), metavar="TIME", help="Asked for before that time.")
@click.option("--attention", is_flag=True, help="Jobs that wait for a person.")
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(1),
    default=25,
    metavar="N",
    help="How many; 25 by default.",
)
@click.option("-q", "--quiet", is_flag=True, help="Only their ids.")
@_JSON
def list_(*, states: tuple[str, ...], limit: int, quiet: bool, as_json: bool, **given: Any) -> int:
    """List jobs, the newest first."""
    query: list[tuple[str, str | int | None]] = [("state", state) for state in states]
    query += [(name, given[name]) for name in _FILTERS]
    for name in ("since", "until"):
        query.append((name, given[name].isoformat() if given[name] else None))
    if given["attention"]:
        query.append(("attention", "true"))
    jobs = list(fleet().jobs(query, most=limit))
    screen = stdout()
    if as_json:
        screen.write(in_json({"items": jobs}))
    elif quiet:
        for found in jobs:
            screen.write(found["id"])
    elif jobs:
        _table(jobs)
    else:
        stderr().write("There is no such job.")
    return Exit.OK


def _table(jobs: list[Document]) -> None:
    now = clock_now()
    columns = [
        Column("job", "bold"),
        Column("state", style_of),
        Column("action", wraps=True),
        Column("nodes", right=True),
        Column("ok", right=True),
        Column("failed", right=True),
        Column("caller", wraps=True),
        Column("asked"),
    ]
    rows = [
        [
            found["id"],
            found["state"],
            f"{found['agent']}.{found['action']}",
            f"{found['parts']} legs" if is_plan(found) else found["nodes"],
            found["tally"].get("succeeded", 0),
            sum(found["tally"].get(state, 0) for state in ("failed", "expired")),
            found["caller"],
            ago(found["created_at"], now),
        ]
        for found in jobs
    ]
    draw(stdout(), columns, rows)


@job.command(epilog=EPILOG)
@job_argument
@click.option("--node", metavar="NODE", shell_complete=node_names, help="Only the run there.")
@click.option("-v", "--verbose", is_flag=True, help="What every node replied, not a table.")
@click.option(
    "--live", is_flag=True, help="Ask the nodes themselves what they have on their disks, now."
)
@_JSON
def show(job: str, *, node: str | None, verbose: bool, live: bool, as_json: bool) -> int:
    """Show how a job stands, and how it went on each node.

    [bold]Examples[/]

    fj job show last --verbose

    fj job show last/start --node web1
    """
    asked = fleet()
    found = find_job(asked, job)
    if live:
        from fleetjobs.cli.job_live import show_live

        return show_live(asked, found, node, as_json=as_json)
    if is_plan(found):
        return _show_plan(asked, found, as_json=as_json)
    runs = [asked.run(found["id"], node)] if node else list(asked.runs(found["id"]))
    screen = stdout()
    if as_json:
        screen.write(in_json({**found, "runs": runs}))
        return Exit.OK
    header(screen, found)
    if verbose or len(runs) == 1:
        details(screen, asked, found, runs)
    else:
        runs_table(screen, runs)
        if screen.is_terminal and any(run["data"] for run in runs):
            hint = f"`{program()} job show {job} --verbose` tells what they replied."
            screen.write(f"\n{screen.paint(hint, 'dim')}")
    return Exit.OK


def _show_plan(asked: Fleet, found: Document, *, as_json: bool) -> int:
    from fleetjobs.cli.plan_views import legs_table  # late: few jobs are plans

    legs = list(asked.legs(found["id"]))
    screen = stdout()
    if as_json:
        screen.write(in_json({**found, "legs": legs}))
        return Exit.OK
    header(screen, found)
    shown = legs if len(legs) <= LEGS_MOST else [leg for leg in legs if leg["state"] not in DULL]
    legs_table(screen, shown[:LEGS_MOST])
    if left := len(legs) - len(shown[:LEGS_MOST]):
        screen.write(f"\n{left} legs more: `{program()} job legs {found['id']}` lists them all.")
    return Exit.OK


@job.command(epilog=EPILOG)
@job_argument
@click.option(
    "-t",
    "--timeout",
    type=Duration(),
    metavar="DURATION",
    help="Wait no longer than that; by default until the job has ended.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document: the job.")
def wait(job: str, *, timeout: timedelta | None, as_json: bool) -> int:
    """Wait for a job's end; exits as the call would have.

    [bold]Examples[/]

    fj submit package update name=openssl -C web; fj job wait last
    """
    from fleetjobs.cli.following import Manner, follow
    from fleetjobs.client.jobs import Job

    asked = fleet()
    found = find_job(asked, job)
    if is_plan(found):
        from fleetjobs.cli.plan_following import follow_plan
        from fleetjobs.client.plans import PlanJob

        return follow_plan(PlanJob(asked, found), timeout=timeout, as_json=as_json)
    handle = Job(asked, found)
    replies = handle.replies(timeout or None)
    manner = Manner(display="failed", quiet=as_json)
    code = follow(replies, action=None, manner=manner, began=monotonic() - took_s(found))
    if as_json:
        stdout().write(in_json(handle.document))
    return code


@job.command(epilog=EPILOG)
@job_argument
@click.argument("node", required=False, metavar="[NODE]", shell_complete=node_names)
@click.option(
    "--stream",
    type=click.Choice(["stdout", "stderr", "both"]),
    default="both",
    help="Which of them; both by default.",
)
@click.option("--tail", type=click.IntRange(0), metavar="BYTES", help="Only the last of them.")
@click.option("--raw", is_flag=True, help="Every byte as it was written, also to a terminal.")
@click.option("-f", "--follow", is_flag=True, help="Go on while the run writes; of one node.")
def logs(
    job: str, node: str | None, *, stream: str, tail: int | None, raw: bool, follow: bool
) -> int:
    """Print what a job's programs wrote, node by node; of what still runs, what is there by now.

    Of one node, its stdout goes to stdout and its stderr to stderr. Of a plan, leg after leg.

    [bold]Examples[/]

    fj job logs last web1 --follow --tail 2000

    fj job logs last/start
    """
    asked = fleet()
    runs = find_runs(asked, find_job(asked, job), node)
    streams = ("stdout", "stderr") if stream == "both" else (stream,)
    if follow:
        if len(runs) != 1:
            raise click.UsageError(
                f"--follow is of one run; there are {len(runs)}: name node or leg"
            )
        follow_logs(asked, runs[0], streams, tail=tail, raw=raw)
        return Exit.OK
    show_logs(asked, runs, streams, tail=tail, raw=raw)
    return Exit.OK
