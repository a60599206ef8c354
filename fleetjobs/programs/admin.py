"""Admin: prepare a server's database, its first org, accounts and tokens.

    fj server init [--org ORG] [--broker URL]
    fj server account NAME [--org ORG] [--role ROLE] [--key FILE | --verify-key TEXT]
    fj server token ACCOUNT [--name NAME] [--days DAYS]

It works on the database itself, so it needs the server's settings and no token. `init` and
`account` may be repeated: what is there already is left as it is.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection

from fleetjobs.access import FLEET, Role
from fleetjobs.control.ruling import check_account, check_org_name, told
from fleetjobs.control.sowing import Sowing
from fleetjobs.errors import Conflict, Fault, InvalidSetting
from fleetjobs.names import NodeId
from fleetjobs.nodes import CONTROLLER
from fleetjobs.programs.arguments import Parser
from fleetjobs.programs.headquarters import Headquarters
from fleetjobs.programs.settings import ServerSettings, load_settings
from fleetjobs.signing import SERVER, SigningKey, VerifyKey, account_key_id
from fleetjobs.store.access import (
    Account,
    create_account,
    create_org,
    get_entry,
    has_org,
    set_account,
    set_verify_key,
)
from fleetjobs.store.audit import Author, add_record
from fleetjobs.store.database import Database
from fleetjobs.store.nodes import get_node
from fleetjobs.store.tokens import create_token

ORG = "default"  #: of a server that serves one


AUTHOR = Author(account="")  #: whoever works on the database itself, and needs no account


def prepare(database: Database, org: str, *, now: datetime) -> None:
    """Bring the tables up to date and have the org."""
    database.migrate()
    with database.transaction() as connection:
        if not has_org(connection, org):
            check_org_name(org)
            create_org(connection, org, now=now)
            _note(connection, "org.created", org, org, now, {"name": org})


def furnish(database: Database, org: str, settings: ServerSettings, *, now: datetime) -> int:
    """Have what every installation begins with; how much of it was made, or brought up to date.

    What people changed, disabled or deleted stays so. Raises InvalidSetting.
    """
    sowing = Sowing(database, now)
    sown = sowing.sow(org)
    sowing.bar(settings.disabled_schedules)
    return sown


def have_account(database: Database, account: Account, *, now: datetime) -> None:
    """Have that account, with that key; an admin may become a fleet admin.

    Raises Conflict if its name has another org or role.
    """
    raised = (Role.ADMIN, Role.FLEET_ADMIN)
    with database.transaction() as connection:
        found = get_entry(connection, account.name)
        if found is None:
            check_account(account)
            create_account(connection, account, now=now)
            _note(connection, "account.created", account.name, account.org, now, told(account))
            return
        if found.org == account.org and (found.role, account.role) == raised:
            set_account(connection, account.name, role=account.role)
            _note(connection, "account.changed", account.name, account.org, now, told(account))
        elif (found.org, found.role) != (account.org, account.role):
            raise Conflict(f"{account.name} is {found.role} of {found.org} already")
        key = account.verify_key
        if key is not None and set_verify_key(connection, account.name, key, now=now):
            _note(connection, "account.changed", account.name, account.org, now, told(account))


def _note(
    connection: Connection, kind: str, subject: str, org: str, now: datetime, after: object
) -> None:
    add_record(connection, at=now, author=AUTHOR, kind=kind, subject=subject, org=org, after=after)


def have_key(key_id: str, path: Path) -> VerifyKey:
    """The public half of the private key in that file, which is made if there is none."""
    if not path.exists():
        SigningKey.generate(key_id).save(path)
    return SigningKey.load(key_id, path).verify_key


def run(options: argparse.Namespace, settings: ServerSettings, *, now: datetime) -> str:
    """Do what was asked; what there is to say."""
    database = Database.open(settings.database)
    try:
        if options.command == "init":
            return _init(database, options, settings, now=now)
        if options.command == "account":
            return _account(database, options, now=now)
        expires_at = now + timedelta(days=options.days) if options.days else None
        with database.transaction() as connection:
            token = create_token(
                connection, options.account, name=options.name, now=now, expires_at=expires_at
            )
            org = getattr(get_entry(connection, options.account), "org", "")
            after = {"name": options.name, "expires_at": expires_at}
            _note(connection, "token.created", options.account, org, now, after)
            return token
    finally:
        database.close()


def _init(
    database: Database, options: argparse.Namespace, settings: ServerSettings, *, now: datetime
) -> str:
    prepare(database, options.org, now=now)
    sown = furnish(database, options.org, settings, now=now)
    key = have_key(SERVER, settings.key)
    said = [f"org {options.org}; the server's public key is {key.text}"]
    if sown:
        said.append(f"{sown} templates and schedules were made or brought up to date")
    if options.broker is None:
        where = options.config or "FILE"
        with database.reading() as connection:
            there = get_node(connection, NodeId(CONTROLLER), org=None) is not None
        return "\n".join(said if there else [*said, NO_CONTROLLER.format(where)])
    if options.config is None:
        raise InvalidSetting("--broker needs --config: what it makes lies beside that file")
    place = Headquarters(options.config.resolve(), settings)
    made = place.settle(database, options.broker, options.org, now=now)
    said += [f"made {path}" for path in made]
    said.append(f"run: fj server --config {place.config}")
    said.append(f"     fj coordinator --config {place.coordinator}")
    said.append(f"     fj node --config {place.node / 'node.toml'}")
    return "\n".join(said)


NO_CONTROLLER = """\
there is no node @controller yet, on which the fleet looks after itself: give the broker, and
its settings and the coordinator's are made: fj server init --config {} --broker URL"""


def _account(database: Database, options: argparse.Namespace, *, now: datetime) -> str:
    key = None
    if options.key:
        key = have_key(account_key_id(options.name), options.key)
    elif options.verify_key:
        key = VerifyKey.from_text(options.verify_key)
    role = Role(options.role)
    account = Account(name=options.name, org=options.org, role=role, verify_key=key)
    have_account(database, account, now=now)
    return f"{role} {options.name} of {options.org}" + (f"; public key {key.text}" if key else "")


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(
        prog="fj server",
        description="Prepare a server's database, its first org, accounts and tokens.",
    )
    where = Parser(add_help=False)
    where.add_argument("--config", type=Path, help="the server's settings, TOML")
    commands = parser.add_subparsers(dest="command", required=True)
    init = commands.add_parser("init", parents=[where], help="tables, org and the server's key")
    init.add_argument("--org", default=ORG)
    init.add_argument(
        "--broker",
        metavar="URL",
        help="also make the settings of the coordinator and of the node @controller, beside the "
        "server's, and enroll that node",
    )
    account = commands.add_parser("account", parents=[where], help="an account")
    account.add_argument("name")
    account.add_argument("--org", default=ORG, help=f"{FLEET}: none, but the whole fleet")
    account.add_argument("--role", choices=[*Role], default=Role.OPERATOR.value)
    key = account.add_mutually_exclusive_group()
    key.add_argument("--key", type=Path, help="its private key; made if there is none")
    key.add_argument("--verify-key", metavar="TEXT", help="its public key, in base64url")
    token = commands.add_parser("token", parents=[where], help="a token, printed once")
    token.add_argument("account")
    token.add_argument("--name", default="cli")
    token.add_argument("--days", type=int, help="valid so long; for ever if left out")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit status."""
    options = make_parser().parse_args(arguments)
    try:
        settings = load_settings(ServerSettings, options.config, os.environ)
        said = run(options, settings, now=datetime.now(UTC))
    except Fault as fault:
        sys.stderr.write(f"fj server: {fault}\n")
        return 1
    sys.stdout.write(said + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
