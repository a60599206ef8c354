"""`fj run-local`: an action on this machine, in the foreground, and on record all the same."""

import socket
from time import monotonic
from typing import Any

import click

from fleetjobs.cli.commands import command
from fleetjobs.cli.complete import action_names, agent_names, input_words
from fleetjobs.cli.exits import EPILOG, Exit
from fleetjobs.cli.following import follow, format_options, say_it_goes_on, take_manner
from fleetjobs.cli.job_logs import follow_logs
from fleetjobs.cli.rpc import call, find_action
from fleetjobs.cli.session import fleet
from fleetjobs.client.asking import deadline_of
from fleetjobs.client.fleet import NOT_FOUND, Fleet
from fleetjobs.errors import NotFound, Problem
from fleetjobs.targets import make_target


@command("run-local", epilog=EPILOG)
@click.argument("agent", shell_complete=agent_names)
@click.argument("action", shell_complete=action_names)
@click.argument("words", nargs=-1, metavar="[INPUT=VALUE]...", shell_complete=input_words)
@format_options
@click.option(
    "--node",
    metavar="NODE",
    help="This machine's name in the fleet; by default its host name.",
)
def run_local(agent: str, action: str, words: tuple[str, ...], **given: Any) -> int:
    """Run an action on this machine, in the foreground: what it writes is shown as it comes.

    It is a job like any other: checked, allowed and recorded, and ctrl-C leaves it at work.

    [bold]Examples[/]

    fj run-local demo echo text=hello
    """
    began = monotonic()
    manner, asked = take_manner(given), fleet()
    declared = find_action(asked, agent, action)
    node = _this_node(asked, given["node"])
    job = call(asked, declared, words, make_target(identities=[node]))
    replies = job.replies(deadline_of(declared.timeout))
    if not declared.inline and manner.format is None:
        run = {"job": job.id, "node": node}
        try:
            follow_logs(asked, run, ("stdout", "stderr"), tail=None, raw=False)
        except KeyboardInterrupt:
            say_it_goes_on(job.id, 0, 1)
            return Exit.INTERRUPTED
    return follow(replies, action=declared, manner=manner, named=True, began=began)


def _this_node(asked: Fleet, named: str | None) -> str:
    """How the fleet calls this machine. Raises NotFound, saying what to do."""
    names = [named] if named else list(dict.fromkeys([socket.getfqdn(), socket.gethostname()]))
    for name in names:
        try:
            return str(asked.node(name)["identity"])
        except Problem as problem:
            if problem.status != NOT_FOUND:
                raise
    error = NotFound(f"no node of the fleet is called {' or '.join(names)}")
    error.add_note("--node NAME says which node this machine is")
    raise error
