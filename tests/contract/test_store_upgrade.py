"""Databases of earlier versions, brought up to date."""

from pathlib import Path
from uuid import UUID, uuid5

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

import fleetjobs.store.database
from fleetjobs.store.database import Database

BEFORE = "0013"  #: the tables before there were grants
VERSIONS = Path(fleetjobs.store.database.__file__).parent / "migrations"


def upgrade(connection: Connection, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(VERSIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


@pytest.mark.parametrize(("orgs", "role"), [(["a"], "fleet-admin"), (["a", "b"], "admin")])
def test_who_ruled_the_only_org_rules_the_fleet(tmp_path: Path, orgs: list[str], role: str) -> None:
    """Where there are several, nobody is let see what they did not see before."""
    database = Database.open(f"sqlite:///{tmp_path / 'old.sqlite'}")
    at = "2026-11-21 04:00:00.000000"
    with database.transaction() as connection:
        upgrade(connection, BEFORE)
        made = text("INSERT INTO orgs (name, created_at) VALUES (:org, :at)")
        connection.execute(made, [{"org": org, "at": at} for org in orgs])
        made = text(
            "INSERT INTO accounts (name, org, role, created_at) VALUES (:name, 'a', :role, :at)"
        )
        people = {"ann": "admin", "olaf": "operator"}
        rows = [{"name": name, "role": was, "at": at} for name, was in people.items()]
        connection.execute(made, rows)

    database.migrate()

    with database.reading() as connection:
        rows = connection.execute(text("SELECT name, role FROM accounts")).mappings()
        found = {row["name"]: row["role"] for row in rows}
    assert found == {"ann": role, "olaf": "operator"}
    database.close()


def test_what_was_told_of_a_wish_is_not_told_again(tmp_path: Path) -> None:
    """Notices did not name their wishes; their ids come of them."""
    database = Database.open(f"sqlite:///{tmp_path / 'old.sqlite'}")
    mine, other = (str(UUID(int=number)) for number in (1, 2))
    notice = str(uuid5(UUID(mine), "j1 mail:ops@example.org"))
    with database.transaction() as connection:
        upgrade(connection, "0023")
        wish = "INSERT INTO wishes VALUES (:id, 'a', :job, '[\"duration\"]', '[]', 60, 'ann', :at)"
        at = "2026-11-21 04:00:00.000000"
        rows = [{"id": mine, "job": "j1", "at": at}, {"id": other, "job": "", "at": at}]
        connection.execute(text(wish), rows)
        told = (
            "INSERT INTO notices (id, org, topic, sink, job, document, created_at, tries, error)"
            " VALUES (:id, 'a', 'duration', 'mail:ops@example.org', 'j1', '{}', :at, 1, '')"
        )
        connection.execute(text(told), {"id": notice, "at": at})

    database.migrate()

    with database.reading() as connection:
        assert connection.execute(text("SELECT wish FROM notices")).scalar_one() == mine
    database.close()
