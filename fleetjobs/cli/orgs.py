"""`fj org` and `fj setting`: tenants, and what holds for all of them."""

import click

from fleetjobs.cli.columns import Column
from fleetjobs.cli.commands import group
from fleetjobs.cli.documents import in_json
from fleetjobs.cli.exits import EPILOG, Exit
from fleetjobs.cli.listing import show_list
from fleetjobs.cli.options import json_option
from fleetjobs.cli.screen import line, stdout
from fleetjobs.cli.session import fleet, program
from fleetjobs.client.replies import Document

_name = click.argument("name")


@group(epilog=EPILOG)
def org() -> None:
    """Look after orgs: nobody sees another's jobs and nodes. Takes a fleet admin."""


@org.command(epilog=EPILOG)
@_name
@json_option
def create(name: str, *, as_json: bool) -> int:
    """Make an org; then an account in it."""
    found = fleet().tell("orgs", wish={"name": name})
    hint = f"`{program()} --as-org {line(name)} account create NAME --role admin` makes its admin"
    return _tell(found, f"Made: {line(name)}; {hint}", as_json=as_json)


@org.command("list", epilog=EPILOG)
@json_option
def list_(*, as_json: bool) -> int:
    """List the orgs that you see."""
    return show_list(
        fleet().transport.get("orgs"),
        [Column("org", "bold"), Column("is")],
        lambda one: [one["name"], "disabled" if one["disabled"] else "enabled"],
        as_json=as_json,
    )


@org.command(epilog=EPILOG)
@_name
@json_option
def show(name: str, *, as_json: bool) -> int:
    """Show an org."""
    found = fleet().transport.get("orgs", name)
    is_ = "disabled" if found["disabled"] else "enabled"
    return _tell(found, f"{line(name)}: {is_}", as_json=as_json)


@org.command(epilog=EPILOG)
@_name
@json_option
def disable(name: str, *, as_json: bool) -> int:
    """Let its accounts do nothing, and nothing that they asked for begin."""
    found = fleet().tell("orgs", name, method="PATCH", wish={"disabled": True})
    return _tell(found, f"Disabled: {line(name)}", as_json=as_json)


@org.command(epilog=EPILOG)
@_name
@json_option
def enable(name: str, *, as_json: bool) -> int:
    """Let its accounts do again what they may."""
    found = fleet().tell("orgs", name, method="PATCH", wish={"disabled": False})
    return _tell(found, f"Enabled: {line(name)}", as_json=as_json)


@org.command(epilog=EPILOG)
@_name
def delete(name: str) -> int:
    """Delete an org of which nothing is left."""
    fleet().tell("orgs", name, method="DELETE")
    stdout().write(f"Deleted: {line(name)}")
    return Exit.OK


@group(epilog=EPILOG)
def setting() -> None:
    """See and set what holds for all orgs. Takes a fleet admin."""


@setting.command("list", epilog=EPILOG)
@json_option
def list_settings(*, as_json: bool) -> int:
    """List what can be set, and how it stands."""
    return show_list(
        fleet().transport.get("settings"),
        [Column("setting", "bold"), Column("is"), Column("which means", wraps=True)],
        lambda one: [one["name"], "on" if one["value"] else "off", one["description"]],
        as_json=as_json,
    )


@setting.command("set", epilog=EPILOG)
@_name
@click.argument("value", type=click.Choice(["on", "off"]))
@json_option
def set_(name: str, value: str, *, as_json: bool) -> int:
    """Switch something on or off."""
    found = fleet().tell("settings", name, method="PUT", wish={"value": value == "on"})
    return _tell(found, f"{line(name)} is {value}", as_json=as_json)


def _tell(found: Document, text: str, *, as_json: bool) -> int:
    stdout().write(in_json(found) if as_json else text)
    return Exit.OK
