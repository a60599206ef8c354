"""`fj audit`: who changed what, and whether the record of it is whole."""

import json
from typing import Any

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

SHOWN = 50


@group(epilog=EPILOG)
def audit() -> None:
    """See who changed what, who was refused, and whether the record of it is whole."""


@audit.command("list", epilog=EPILOG)
@click.option("--actor", metavar="ACCOUNT", help="By that account.")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    metavar="KIND",
    help="Such as account.changed, refused; `account.` for all that begin so.",
)
@click.option("--subject", metavar="NAME", help="About that account, schedule or org.")
@click.option("--org", metavar="ORG", help="Of that org's things.")
@click.option("--since", metavar="TIME", help="At that time or later; RFC 3339.")
@click.option("--until", metavar="TIME", help="Before that time; RFC 3339.")
@click.option("-n", "--limit", type=click.IntRange(1), default=SHOWN, help=f"So many; {SHOWN}.")
@json_option
def list_(*, kinds: tuple[str, ...], limit: int, as_json: bool, **given: Any) -> int:
    """List rows, the latest first. Takes an admin, who sees those of the org."""
    query = [("kind", kind) for kind in kinds]
    query += [(name, given[name]) for name in ("actor", "subject", "org", "since", "until")]
    items = list(fleet().pages("audit", query=query, most=limit))
    columns = [
        *(Column("when"), Column("who", "bold"), Column("from"), Column("kind")),
        *(Column("of"), Column("about"), Column("what", wraps=True)),
    ]
    return show_list({"items": items}, columns, _row, as_json=as_json)


def _row(item: Document) -> list[object]:
    return [
        *(local(item["at"]), item["actor"] or "(server)", item["address"], item["kind"]),
        *(item["org"], item["subject"], _change(item)),
    ]


@audit.command(epilog=EPILOG)
@click.option("--head", metavar="HASH", help="A hash noted before: its row has to be there still.")
@json_option
def verify(*, head: str | None, as_json: bool) -> int:
    """Say whether no row was changed or taken out: 0 it is whole, 2 it is not.

    Note the hash it prints on another machine: with --head it shows rows cut off at the end.
    """
    found = fleet().transport.get("audit", "verify", query=[("head", head)])
    whole = found["outcome"] == "whole"
    if as_json:
        stdout().write(in_json(found))
    elif whole:
        stdout().write(f"whole: {found['rows']} rows; head {line(found['head'])}")
    elif found["broken_at"] is not None:
        stderr().write(f"broken: row {found['broken_at']} was changed or taken out")
    else:
        stderr().write("broken: the row of that hash is gone; what came last was cut off")
    return Exit.OK if whole else Exit.FAILED


def _change(item: Document) -> str:
    """What was otherwise, and how it is."""
    if item["note"]:
        return line(item["note"])
    before, after = item["before"] or {}, item["after"] or {}
    parts = [
        f"{name}: {_short(before.get(name))} > {_short(after.get(name))}"
        if name in before
        else f"{name}: {_short(after[name])}"
        for name in {**before, **after}
    ]
    return "; ".join(parts)


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
