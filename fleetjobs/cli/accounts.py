"""`fj account`: who may ask."""

from pathlib import Path
from typing import Any

import click

from fleetjobs.access import Role
from fleetjobs.cli.columns import Column
from fleetjobs.cli.commands import group
from fleetjobs.cli.documents import in_json
from fleetjobs.cli.exits import EPILOG, Exit
from fleetjobs.cli.job_views import as_options
from fleetjobs.cli.listing import show_list
from fleetjobs.cli.options import json_option
from fleetjobs.cli.screen import line, stderr, stdout
from fleetjobs.cli.session import fleet
from fleetjobs.client.replies import Document

CREATE = """\
Make an account in your org; a fleet admin says in which: `fj --as-org ORG account create …`.

[bold]Examples[/]

\b
  fj account create olaf --role operator
  fj --as-org acme account create ann --role admin
  fj --as-org @fleet account create root2 --role fleet-admin
  fj token create --account olaf laptop        and what it shows
"""
_name = click.argument("name")
_key = click.option(
    "--verify-key",
    metavar="TEXT",
    help="The public half of its key, base64url; or @FILE. Without, the server signs for it.",
)


@group(epilog=EPILOG)
def account() -> None:
    """Look after who may ask: people and robots, each of an org, with a role."""


@account.command(help=CREATE, epilog=EPILOG)
@_name
@click.option(
    "--role", type=click.Choice([role.value for role in Role]), default=str(Role.OPERATOR)
)
@_key
@json_option
def create(name: str, *, role: str, verify_key: str | None, as_json: bool) -> int:
    """Make an account."""
    wish = {"name": name, "role": role, "verify_key": _read(verify_key)}
    return _tell(fleet().tell("accounts", wish=wish), "Made", as_json=as_json)


@account.command("list", epilog=EPILOG)
@click.option("--org", metavar="ORG", help="Of that org alone.")
@json_option
def list_(*, org: str | None, as_json: bool) -> int:
    """List the accounts that you may see."""
    items = list(fleet().pages("accounts", query=[("org", org)]))
    columns = [Column("account", "bold"), Column("org"), Column("role"), Column("is")]
    return show_list(
        {"items": items},
        columns,
        lambda item: [item["name"], item["org"] or "(fleet)", item["role"], _is(item)],
        as_json=as_json,
    )


@account.command(epilog=EPILOG)
@click.argument("name", required=False)
@json_option
def show(name: str | None, *, as_json: bool) -> int:
    """Show an account and its grants; your own if none is named."""
    transport = fleet().transport
    found = transport.get("me") if name is None else transport.get("accounts", name)
    grants = transport.get("accounts", found["name"], "grants")["items"]
    if as_json:
        stdout().write(in_json(found | {"grants": grants}))
        return Exit.OK
    screen = stdout()
    of = f"of {line(found['org'])}" if found["org"] else "of the fleet"
    screen.write(f"{line(found['name'])}: {line(found['role'])} {of}; {_is(found)}")
    key = found["verify_key"]
    screen.write(f"key: {line(key)}" if key else "key: none; the server signs for it")
    for grant in grants:
        screen.write(f"grant {grant['id']}: {say_grant(grant)}")
    return Exit.OK


@account.command(epilog=EPILOG)
@_name
@click.option("--role", type=click.Choice([role.value for role in Role]), help="Another role.")
@_key
@click.option("--no-key", is_flag=True, help="No key any more: the server signs for it.")
@json_option
def edit(name: str, *, as_json: bool, **given: Any) -> int:
    """Change role or key. What it asked for and may no longer run does not begin."""
    wish: dict[str, Any] = {} if given["role"] is None else {"role": given["role"]}
    if given["no_key"] or given["verify_key"] is not None:
        wish["verify_key"] = None if given["no_key"] else _read(given["verify_key"])
    if not wish:
        raise click.UsageError("nothing is to be changed; name a role or a key")
    found = fleet().tell("accounts", name, method="PATCH", wish=wish)
    return _tell(found, "Changed", as_json=as_json)


@account.command(epilog=EPILOG)
@_name
@json_option
def disable(name: str, *, as_json: bool) -> int:
    """Let an account do nothing, and nothing that it asked for begin."""
    found = fleet().tell("accounts", name, method="PATCH", wish={"disabled": True})
    return _tell(found, "Disabled", as_json=as_json)


@account.command(epilog=EPILOG)
@_name
@json_option
def enable(name: str, *, as_json: bool) -> int:
    """Let an account do again what it may."""
    found = fleet().tell("accounts", name, method="PATCH", wish={"disabled": False})
    return _tell(found, "Enabled", as_json=as_json)


@account.command(epilog=EPILOG)
@_name
def delete(name: str) -> int:
    """Delete an account and revoke its tokens; its name is never given again."""
    fleet().tell("accounts", name, method="DELETE")
    stdout().write(f"Deleted: {line(name)}")
    return Exit.OK


@account.command(epilog=EPILOG)
@click.argument("name", required=False)
@click.option("--none", "is_none", is_flag=True, help="None any more.")
def password(name: str | None, *, is_none: bool) -> int:
    """Set a password for `fj login` and the web pages; your own if no account is named."""
    asked = fleet()
    me = asked.transport.get("me")
    wish: dict[str, Any] = {"password": None}
    if name in {None, me["name"]} and me["has_password"]:
        wish["old"] = click.prompt("The password so far", hide_input=True, err=True)
    if not is_none:
        wish["password"] = click.prompt(
            "The new password", hide_input=True, confirmation_prompt=True, err=True
        )
    asked.tell("accounts", name or me["name"], "password", method="PUT", wish=wish)
    stderr().write("The password is removed." if is_none else "The password is set.")
    return Exit.OK


def say_grant(grant: Document) -> str:
    """The grant in a line."""
    verbs = ", ".join(grant["verbs"]) or "everything"
    where = "" if grant["target"] is None else f" on {as_options(grant['target'])}"
    return line(f"{grant['effect']} {verbs} of {', '.join(grant['actions'])}{where}")


def _read(key: str | None) -> str | None:
    if key is None or not key.startswith("@"):
        return key
    return Path(key[1:]).read_text("utf-8").strip()


def _is(found: Document) -> str:
    return "disabled" if found["disabled"] else "enabled"


def _tell(found: Document, done: str, *, as_json: bool) -> int:
    of = f"of {line(found['org'])}" if found["org"] else "of the fleet"
    said = f"{done}: {line(found['name'])}, {line(found['role'])} {of}"
    stdout().write(in_json(found) if as_json else said)
    return Exit.OK
