"""Founding: the tables, the org, the account, its token and the nodes of a fleet that `up` keeps.

    python -m fleetjobs.programs.founding STATE PORT NODE...

A program of its own, because `up` stays light: what it imports, every runner would carry.
Repeating it changes nothing.
"""

import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from fleetjobs.access import Role
from fleetjobs.client.profile import read_profile
from fleetjobs.control.nodes import Nodes
from fleetjobs.errors import Fault, InvalidSetting
from fleetjobs.names import NodeId
from fleetjobs.nodes import CONTROLLER
from fleetjobs.programs.admin import furnish, have_account, prepare
from fleetjobs.programs.premises import ACCOUNT, ORG, Premises, write_profile
from fleetjobs.programs.settings import ServerSettings, load_settings
from fleetjobs.signing import SigningKey, account_key_id, node_key_id
from fleetjobs.store.access import Account
from fleetjobs.store.database import Database
from fleetjobs.store.nodes import enroll_node, list_nodes
from fleetjobs.store.tokens import account_of_token, create_token

_OURS = re.compile(r"\Anode[0-9]+\Z")  #: see `premises.identities`


def found(premises: Premises, nodes: Sequence[str], *, port: int, now: datetime) -> dict[str, int]:
    """Have all that in the database, and a profile with a token that counts.

    Nodes of an earlier, larger fleet are taken off; gives them, and how many runs each left undone.
    """
    settings = load_settings(ServerSettings, premises.settings("server"), {})
    database = Database.open(settings.database)
    try:
        prepare(database, ORG, now=now)
        key = SigningKey.load(account_key_id(ACCOUNT), premises.account_key).verify_key
        owner = Account(name=ACCOUNT, org=ORG, role=Role.FLEET_ADMIN, verify_key=key)
        have_account(database, owner, now=now)
        _enroll(database, premises, nodes, now=now)
        furnish(database, ORG, settings, now=now)
        write_profile(premises, port=port, token=_token(database, premises, now=now))
        return _retire(database, premises, nodes, now=now)
    finally:
        database.close()


def _enroll(database: Database, premises: Premises, nodes: Sequence[str], *, now: datetime) -> None:
    with database.transaction() as connection:
        for identity in (*nodes, CONTROLLER):
            path = premises.node(identity) / "key.pem"
            key = SigningKey.load(node_key_id(identity), path).verify_key
            enroll_node(connection, NodeId(identity), ORG, key, now)


def _retire(
    database: Database, premises: Premises, nodes: Sequence[str], *, now: datetime
) -> dict[str, int]:
    """Only what `up` made itself: nodes of other machines are not ours to take off."""
    desk = Nodes(database, lambda: now)
    with database.reading() as connection:
        enrolled = [node.identity for node in list_nodes(connection, ORG, with_facts=False)]
    surplus = [
        name
        for name in enrolled
        if name not in nodes and _OURS.match(name) and premises.node(name).is_dir()
    ]
    return {name: desk.remove(name, org=ORG, account=ACCOUNT, force=True) for name in surplus}


def _token(database: Database, premises: Premises, *, now: datetime) -> str:
    """The profile's token if the database knows it, else a new one."""
    try:
        token = read_profile(premises.client).token
    except InvalidSetting:  # the first start
        token = ""
    with database.transaction() as connection:
        account = account_of_token(connection, token, now) if token else None
        if account is not None and account.name == ACCOUNT:
            return token
        return create_token(connection, ACCOUNT, name="up", now=now)


def main(arguments: Sequence[str]) -> int:
    """Run it; the exit status."""
    state, port, *nodes = arguments
    try:
        gone = found(Premises(Path(state)), nodes, port=int(port), now=datetime.now(UTC))
    except Fault as fault:
        sys.stderr.write(f"{fault}\n")
        return 1
    if gone:
        left = sum(gone.values())
        undone = f"; {left} of their runs had not ended and failed" if left else ""
        sys.stdout.write(f"taken off the fleet: {' '.join(gone)}{undone}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
