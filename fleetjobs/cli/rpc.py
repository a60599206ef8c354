"""`fj rpc` and `fj submit`: ask for an action, and wait for it or not."""

from datetime import timedelta
from time import monotonic
from typing import Any

import click

from fleetjobs.cli.commands import command, panel
from fleetjobs.cli.complete import action_names, agent_names, input_words
from fleetjobs.cli.conditions import (
    CONDITION_OPTIONS,
    condition_options,
    is_later,
    take_conditions,
    take_notices,
    warn,
)
from fleetjobs.cli.documents import in_json
from fleetjobs.cli.exits import EPILOG, Exit
from fleetjobs.cli.following import follow, format_options, take_manner
from fleetjobs.cli.options import is_named, json_option, take_target, target_options
from fleetjobs.cli.screen import line, stderr, stdout
from fleetjobs.cli.session import fleet, program
from fleetjobs.cli.words import Duration
from fleetjobs.client.asking import Call, aim, check, deadline_of, fetch_interface
from fleetjobs.client.asking import follow as send_and_follow
from fleetjobs.client.asking import submit as send
from fleetjobs.client.conditions import AT_ONCE, Conditions
from fleetjobs.client.fleet import Fleet, nearest
from fleetjobs.client.jobs import Job
from fleetjobs.errors import InvalidInput, MissingInput, UnknownAction
from fleetjobs.inputs import InputType
from fleetjobs.interfaces import Action
from fleetjobs.targets import Target

RPC = """\
Call an action now and show the replies as they come.

Inputs are checked by the agent's interface before anything is sent. Nodes that do not reply
in time keep the job and do it when they are back; ctrl-C ends the waiting, not the job.
With --at, --delay or --background it comes back at once, as `fj submit` does.

[bold]Examples[/]

\b
  fj rpc rpcutil ping
  fj rpc rpcutil get_fact fact=os.name --table
  fj rpc package status name=openssl -C web -F os.name=Debian
  fj rpc service restart name=nginx -I web1 -I web2 --timeout 2m
  fj rpc demo echo text=hello --limit 10% --limit-method random
  fj rpc service restart name=nginx -C web --at 'tomorrow 4am'
  fj rpc service restart name=nginx -C web --canary 1 --batch 10% --max-failures 2
  fj rpc package status name=bash --display failed --json |
    fj rpc package install name=bash --nodes -
"""

SUBMIT = """\
Ask for an action and come back at once with the job's id.

[bold]Examples[/]

\b
  fj submit package update name=openssl -C web
  fj submit service restart name=nginx -I web1 --at '2026-12-01 04:00'
  fj submit service restart name=nginx -I web1 --after last --retries 2
  job=$(fj submit demo sleep seconds=60) && fj job wait $job
"""

_AGENT = click.argument("agent", shell_complete=agent_names)
_ACTION = click.argument("action", shell_complete=action_names)
_WORDS = click.argument("words", nargs=-1, metavar="[INPUT=VALUE]...", shell_complete=input_words)


@command(help=RPC, epilog=EPILOG)
@_AGENT
@_ACTION
@_WORDS
@target_options
@format_options
@click.option(
    "-t",
    "--timeout",
    type=Duration(),
    metavar="DURATION",
    help="Wait so long for replies: 30s, 5m; 0: until all have come. By default the action's own "
    "timeout and some, and not for nodes that have been silent for long.",
)
@condition_options
@panel("When", ["--timeout", *CONDITION_OPTIONS])
def rpc(agent: str, action: str, words: tuple[str, ...], **given: Any) -> int:
    """Call an action now and show the replies as they come."""
    began = monotonic()
    timeout: timedelta | None = given.pop("timeout")
    target, manner, asked = take_target(given), take_manner(given), fleet()
    declared = find_action(asked, agent, action)
    later = is_later(given)
    notices, conditions = take_notices(given), take_conditions(given, asked)
    job = call(asked, declared, words, target, conditions, notices=notices, followed=not later)
    warn(job.document)
    if later:
        stdout().write(in_json(job.document) if manner.format == "json" else job.id)
        return Exit.OK
    if timeout is None and conditions.rollout is None:
        replies = job.replies(deadline_of(declared.timeout), skip_silent=True)
    else:  # batches take as long as they take
        replies = job.replies(timeout or None)
    return follow(replies, action=declared, manner=manner, named=is_named(target), began=began)


@command(help=SUBMIT, epilog=EPILOG)
@_AGENT
@_ACTION
@_WORDS
@target_options
@click.option("--dry-run", is_flag=True, help="Show where it would run, and what is in its way.")
@json_option
@condition_options
@panel("When", CONDITION_OPTIONS)
def submit(agent: str, action: str, words: tuple[str, ...], **given: Any) -> int:
    """Ask for an action and come back at once with the job's id."""
    target, asked = take_target(given), fleet()
    declared = find_action(asked, agent, action)
    if given.pop("dry_run"):
        return _try_out(asked, declared, words, target, given)
    notices, conditions = take_notices(given), take_conditions(given, asked)
    job = call(asked, declared, words, target, conditions, notices=notices)
    warn(job.document)
    stdout().write(in_json(job.document) if given["as_json"] else job.id)
    return Exit.OK


def _try_out(
    asked: Fleet, action: Action, words: tuple[str, ...], target: Target, given: dict[str, Any]
) -> int:
    """Say what a request would come to; nothing is kept."""
    as_json = given.pop("as_json")
    wanted = Call(
        agent=action.agent,
        action=action.name,
        data=inputs_of(action, words),
        target=aim(target, action.agent),
        conditions=take_conditions(given, asked),
    )
    found = check(asked, wanted)
    if as_json:
        stdout().write(in_json(found))
        return Exit.OK
    warn(found)
    number = len(found["nodes"])
    stdout().write(
        f"It would run on {number} {'node' if number == 1 else 'nodes'}; nothing is kept."
    )
    return Exit.OK


def find_action(asked: Fleet, agent: str, name: str) -> Action:
    """The action as declared. Raises UnknownAgent or UnknownAction, naming those like it."""
    interface = fetch_interface(asked, agent)
    if name not in interface.actions:
        known = nearest(name, list(interface.actions))
        raise UnknownAction(f"{agent} has no action {name!r}{known}")
    return interface.action(name)


def call(
    asked: Fleet,
    action: Action,
    words: tuple[str, ...],
    target: Target,
    conditions: Conditions = AT_ONCE,
    *,
    notices: dict[str, Any] | None = None,
    followed: bool = False,
) -> Job:
    """Ask for it; `followed`: its replies come with the answer. `notices`: whom to tell of it.

    Interrupted, it says what may have become of it.
    """
    wanted = Call(
        agent=action.agent,
        action=action.name,
        data=inputs_of(action, words),
        target=aim(target, action.agent),
        conditions=conditions,
    )
    if notices is not None:  # first, by the id that it will have: so that nothing is missed
        asked.tell("notifications", "wishes", wish=notices | {"job": wanted.id})
    try:
        if followed:
            return Job(asked, *send_and_follow(asked, wanted))
        return Job(asked, send(asked, wanted))
    except KeyboardInterrupt:
        screen = stderr()
        screen.write("\nInterrupted while asking; whether it was accepted is told by:")
        screen.write(f"   {program()} job show {wanted.id}")
        raise


def inputs_of(action: Action, words: tuple[str, ...]) -> dict[str, Any]:
    """Typed inputs. Raises MissingInput or InvalidInput, with a note on what there is."""
    try:
        return action.parse(words)
    except (MissingInput, InvalidInput) as error:
        if action.inputs:
            error.add_note(f"usage: {usage(action)}")
        error.add_note(f"`{program()} doc {action.agent} {action.name}` tells of each input")
        raise


def usage(action: Action) -> str:
    """The action with its inputs, as they are typed: `package install name=STRING [fast=BOOLEAN]`.

    An input in brackets may be left out.
    """
    words = [f"{line(action.agent)} {line(action.name)}"]
    for found in action.inputs.values():
        kind = "|".join(found.choices) if found.type is InputType.LIST else found.type.upper()
        word = f"{line(found.name)}={line(kind)}"
        words.append(f"[{word}]" if found.optional or found.default is not None else word)
    return " ".join(words)
