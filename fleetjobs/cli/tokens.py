"""`fj token`: what accounts show."""

from datetime import UTC, datetime, timedelta

import click

from fleetjobs.cli.columns import Column
from fleetjobs.cli.commands import group
from fleetjobs.cli.documents import in_json
from fleetjobs.cli.exits import EPILOG, Exit
from fleetjobs.cli.listing import show_list
from fleetjobs.cli.options import json_option
from fleetjobs.cli.screen import line, stderr, stdout
from fleetjobs.cli.session import fleet
from fleetjobs.cli.words import local
from fleetjobs.client.replies import Document


@group(epilog=EPILOG)
def token() -> None:
    """Make tokens, list them, revoke them: your own, or as an admin those of your org."""


@token.command(epilog=EPILOG)
@click.argument("name", default="cli")
@click.option("--account", metavar="ACCOUNT", help="Whose; yours if left out.")
@click.option("--days", type=click.IntRange(1, 3650), help="Counts so long; for ever if left out.")
@json_option
def create(name: str, *, account: str | None, days: int | None, as_json: bool) -> int:
    """Make a token. It is printed now and never again."""
    until = datetime.now(UTC) + timedelta(days=days) if days else None
    wish = {"name": name, "account": account, "expires_at": until and until.isoformat()}
    found = fleet().tell("tokens", wish=wish)
    if not as_json:
        stderr().write(f"Token {found['id']} of {line(found['account'])}; it is shown only now:")
    stdout().write(in_json(found) if as_json else line(found["token"]))
    return Exit.OK


@token.command("list", epilog=EPILOG)
@click.option("--account", metavar="ACCOUNT", help="Of that account; `me`: your own.")
@click.option("--all", "everything", is_flag=True, help="Those that count no longer, too.")
@json_option
def list_(*, account: str | None, everything: bool, as_json: bool) -> int:
    """List tokens; what they are is kept nowhere."""
    now = datetime.now(UTC)
    items = [
        item
        for item in fleet().pages("tokens", query=[("account", account)])
        if everything or _counts(item["revoked_at"], item["expires_at"], now)
    ]
    columns = [
        *(Column("token", "bold"), Column("account"), Column("name")),
        *(Column("made"), Column("until"), Column("revoked")),
    ]
    return show_list({"items": items}, columns, _row, as_json=as_json)


def _row(item: Document) -> list[object]:
    times = (item[at] and local(item[at]) for at in ("created_at", "expires_at", "revoked_at"))
    return [item["id"], item["account"], item["name"], *times]


@token.command(epilog=EPILOG)
@click.argument("id", metavar="ID")
@json_option
def revoke(id: str, *, as_json: bool) -> int:  # noqa: A002  as in every document
    """Let a token count no longer."""
    found = fleet().tell("tokens", id, method="DELETE")
    said = f"Revoked: {line(found['name'])} of {line(found['account'])}"
    stdout().write(in_json(found) if as_json else said)
    return Exit.OK


def _counts(revoked_at: str | None, expires_at: str | None, now: datetime) -> bool:
    return revoked_at is None and (expires_at is None or datetime.fromisoformat(expires_at) > now)
