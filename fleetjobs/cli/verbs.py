"""`fj job cancel`, `hold`, `release`, `retry`, `rerun`, `resolve`: the life of a job, changed."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import click

from fleetjobs.cli.commands import command
from fleetjobs.cli.complete import node_names
from fleetjobs.cli.confirming import settled, tell
from fleetjobs.cli.documents import in_json
from fleetjobs.cli.exits import EPILOG, Exit
from fleetjobs.cli.find_job import find_job, job_argument
from fleetjobs.cli.options import json_option
from fleetjobs.cli.screen import line, stdout
from fleetjobs.cli.session import fleet, program
from fleetjobs.cli.words import Duration
from fleetjobs.client.jobs import new_id
from fleetjobs.client.replies import Document
from fleetjobs.plans.documents import RetryMode

C = TypeVar("C", bound=Callable[..., Any])

_ON = click.option(
    "-I",
    "--identity",
    "nodes",
    multiple=True,
    metavar="NODE",
    shell_complete=node_names,
    help="Only on that node, or on those that match /regex/; several may be given.",
)
_TIMEOUT = click.option(
    "-t",
    "--timeout",
    type=Duration(),
    default="5s",
    metavar="DURATION",
    help="How long nodes may take to confirm before we come back; 5 s by default, 0: do not wait.",
)


def _verb(command: C) -> C:
    """The options of what nodes have to confirm."""
    return job_argument(_ON(_TIMEOUT(json_option(command))))


@command(epilog=EPILOG)
@click.option("--force", is_flag=True, help="It is over now, whatever its nodes are doing.")
@click.option("--rollback", is_flag=True, help="Of a plan: undo what it has done, then.")
@_verb
def cancel(job: str, *, nodes: tuple[str, ...], force: bool, rollback: bool, **given: Any) -> int:
    """Call a job off.

    What has not begun never will. What runs is ended with all its processes: asked to end, killed
    ten seconds later. A node that is away is told when it is back. Asking again does no harm.

    [bold]Examples[/]

    fj job cancel last

    fj job cancel last -I web1 --force
    """
    how = {"force": force} | ({"rollback": True} if rollback else {})
    return _act(job, "cancel", nodes, how, **given)


@command(epilog=EPILOG)
@job_argument
@_TIMEOUT
@json_option
def rollback(job: str, **given: Any) -> int:
    """Undo what a plan has done, the last first.

    Of a plan that waits for a person, or that would if a leg failed. What runs comes to its end;
    what has not begun never will. Any other live plan: `job cancel --rollback`.

    [bold]Examples[/]

    fj job rollback last && fj job wait last
    """
    return _act(job, "rollback", (), {}, **given)


@command(epilog=EPILOG)
@job_argument
@click.argument("leg", required=False)
@_ON
@_TIMEOUT
@json_option
def skip(job: str, *, leg: str | None, nodes: tuple[str, ...], **given: Any) -> int:
    """Leave a leg out that waits for a person; its plan goes on.

    What needs it is skipped, too, unless it asks for completed or always: to have the rest go on
    as if the leg had been done, `fj job resolve --as succeeded`.

    JOB is the leg, or its plan and the LEG's key: `last make`, `last/make`.

    [bold]Examples[/]

    fj job skip last make_volume -I web1
    """
    return _act(job if leg is None else f"{job}/{leg}", "skip", nodes, {}, **given)


@command(epilog=EPILOG)
@_verb
def resume(job: str, *, nodes: tuple[str, ...], **given: Any) -> int:
    """Let what is paused go on: released if it was held, tried again if it failed.

    A rollout goes on with its next batch.

    [bold]Examples[/]

    fj job resume last
    """
    return _act(job, "resume", nodes, {}, **given)


@command(epilog=EPILOG)
@_verb
def hold(job: str, *, nodes: tuple[str, ...], **given: Any) -> int:
    """Set a job aside before it begins; `release` lets it go on.

    [bold]Examples[/]

    fj job hold last -I web1
    """
    return _act(job, "hold", nodes, {}, **given)


@command(epilog=EPILOG)
@_verb
def release(job: str, *, nodes: tuple[str, ...], **given: Any) -> int:
    """Let a job that was held go on.

    [bold]Examples[/]

    fj job release last
    """
    return _act(job, "release", nodes, {}, **given)


@command(epilog=EPILOG)
@click.option(
    "--as",
    "as_",
    required=True,
    type=click.Choice(["succeeded", "failed"]),
    help="What came of it.",
)
@_verb
def resolve(job: str, *, as_: str, nodes: tuple[str, ...], **given: Any) -> int:
    """Say what came of runs that wait for a person, such as those of a node that was lost.

    [bold]Examples[/]

    fj job resolve last --as failed -I web1
    """
    return _act(job, "resolve", nodes, {"as": as_}, **given)


@command(epilog=EPILOG)
@job_argument
@_ON
@click.option(
    "--mode",
    type=click.Choice([mode.value for mode in RetryMode]),
    help="What is undone before a leg is tried again; by default what its plan says.",
)
@click.option(
    "--to",
    "keys",
    multiple=True,
    metavar="LEG",
    help="Undo that leg too, and all up to this one, and do them again; several may be given.",
)
@json_option
def retry(
    job: str, *, nodes: tuple[str, ...], mode: str | None, keys: tuple[str, ...], as_json: bool
) -> int:
    """Try again what went wrong.

    Runs that wait for a person get another attempt. A job that has ended stays as it is: a new
    one is made of it, on the nodes that failed or did not answer.

    [bold]Examples[/]

    fj job retry last

    fj job retry last --mode rollback_self

    fj job retry last --to make_volume
    """
    asked = fleet()
    found = find_job(asked, job)
    wish = _on(nodes) | {"id": new_id()} | _manner(mode, keys)
    made = asked.act(found["id"], "retry", wish)
    return _show_new(made, found, as_json=as_json)


@command(epilog=EPILOG)
@job_argument
@json_option
def rerun(job: str, *, as_json: bool) -> int:
    """Ask for the same once more, on all its nodes: a new job.

    [bold]Examples[/]

    fj job rerun last && fj job wait last
    """
    asked = fleet()
    found = find_job(asked, job)
    made = asked.act(found["id"], "rerun", {"id": new_id()})
    return _show_new(made, found, as_json=as_json)


def _act(
    job: str,
    verb: str,
    nodes: tuple[str, ...],
    wish: dict[str, Any],
    *,
    timeout: timedelta,
    as_json: bool,
) -> int:
    asked = fleet()
    before = find_job(asked, job)
    found = asked.act(before["id"], verb, _on(nodes) | wish)
    found = settled(asked, found, timeout)
    if as_json:
        stdout().write(in_json(found))
    else:
        tell(asked, verb, found, before=before)
    return Exit.OK


def _show_new(made: Document, old: Document, *, as_json: bool) -> int:
    screen = stdout()
    if as_json:
        screen.write(in_json(made))
    elif made["id"] != old["id"]:
        screen.write(line(made["id"]))
    elif made["version"] == old["version"]:
        screen.write(f"Job {line(made['id'])} is at work; nothing of it has to be tried again.")
    else:
        screen.write(f"Job {line(made['id'])} tries again: `{program()} job show {made['id']}`")
    return Exit.OK


def _manner(mode: str | None, keys: tuple[str, ...]) -> dict[str, Any]:
    """What is to be undone first. Raises UsageError if both say something else."""
    if keys and mode not in {None, RetryMode.ROLLBACK_TO}:
        raise click.UsageError(f"--to is for the mode rollback_to, not for {mode}")
    if mode == RetryMode.ROLLBACK_TO and not keys:
        raise click.UsageError("--mode rollback_to needs --to LEG: the leg to go back to")
    if keys:
        return {"mode": RetryMode.ROLLBACK_TO, "rollback_to": list(keys)}
    return {"mode": mode} if mode else {}


def _on(nodes: tuple[str, ...]) -> dict[str, Any]:
    return {"target": {"identities": list(nodes)}} if nodes else {}
