"""`fj grant`: what narrows an account down."""

from typing import Any

import click
import msgspec

from fleetjobs.access import Effect, Verb
from fleetjobs.cli.accounts import say_grant
from fleetjobs.cli.commands import group
from fleetjobs.cli.documents import in_json
from fleetjobs.cli.exits import EPILOG, Exit
from fleetjobs.cli.options import json_option, take_target, target_options
from fleetjobs.cli.screen import line, stderr, stdout
from fleetjobs.cli.session import fleet
from fleetjobs.targets import Target

CREATE = """\
Allow an account some actions, and so no others; or deny it some, whatever else allows them.

Without a target it holds on every node, without --verb for all verbs.

[bold]Examples[/]

\b
  fj grant create olaf allow 'package.*' 'service.status'
  fj grant create olaf deny '*' -C database
  fj grant create vera deny '*' --verb view-log
"""


@group(epilog=EPILOG)
def grant() -> None:
    """Narrow down what an account may do; without grants its role alone decides."""


@grant.command(help=CREATE, epilog=EPILOG)
@click.argument("account")
@click.argument("effect", type=click.Choice([effect.value for effect in Effect]))
@click.argument("actions", nargs=-1, required=True, metavar="AGENT.ACTION...")
@click.option(
    "--verb",
    "verbs",
    multiple=True,
    type=click.Choice([verb.value for verb in Verb]),
    help="Of these alone.",
)
@target_options
@json_option
def create(account: str, effect: str, actions: tuple[str, ...], **given: Any) -> int:
    """Allow or deny an account some actions."""
    target = take_target(given)
    wish = {
        "effect": effect,
        "actions": actions,
        "verbs": given["verbs"],
        "target": None if target == Target() else msgspec.to_builtins(target),
    }
    found = fleet().tell("accounts", account, "grants", wish=wish)
    said = f"Grant {found['id']}: {line(account)}: {say_grant(found)}"
    stdout().write(in_json(found) if given["as_json"] else said)
    return Exit.OK


@grant.command("list", epilog=EPILOG)
@click.argument("account")
@json_option
def list_(account: str, *, as_json: bool) -> int:
    """List the grants of an account."""
    found = fleet().transport.get("accounts", account, "grants")
    if as_json:
        stdout().write(in_json(found))
    elif not found["items"]:
        stderr().write(f"{line(account)} has no grants: its role alone says what it may.")
    else:
        for one in found["items"]:
            stdout().write(f"{one['id']}  {say_grant(one)}")
    return Exit.OK


@grant.command(epilog=EPILOG)
@click.argument("account")
@click.argument("id", metavar="ID")
def delete(account: str, id: str) -> int:  # noqa: A002  as in every document
    """Take a grant away."""
    fleet().tell("accounts", account, "grants", id, method="DELETE")
    stdout().write(f"Deleted: grant {line(id)} of {line(account)}")
    return Exit.OK
