"""Everything out of one installation and into another: from each kind of database to each."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from fleetjobs.api.app import make_app
from fleetjobs.control.jobs import Control
from fleetjobs.control.sowing import Sowing
from fleetjobs.errors import Conflict, InvalidDocument
from fleetjobs.names import JobId
from fleetjobs.programs.carriage import export, take
from fleetjobs.states import State
from fleetjobs.store.access import create_org
from fleetjobs.store.carrying import carried
from fleetjobs.store.database import Database
from fleetjobs.store.events import add_event
from fleetjobs.store.handovers import mark_queued, runs_to_dispatch
from fleetjobs.store.leases import RELAY, read_switch
from fleetjobs.store.schema.records import logs
from tests.api_house import House, make_house
from tests.tables import sqlite_url

DIRECTIONS = [("sqlite", "sqlite"), ("sqlite", "postgres"), ("postgres", "sqlite")]
TEXT = """\
name: look
params: {who: web1}
action: rpcutil.ping
target: {identities: "${params.who}"}
"""
SCHEDULE = {
    "label": "nightly",
    "work": {"template": {"name": "look"}},
    "rule": {"cron": "0 4 * * *", "zone": "Europe/Prague"},
}


@pytest.fixture(params=DIRECTIONS, ids="-to-".join)
def urls(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """Where the old installation is, and where the new one is to be."""
    found = []
    for number, kind in enumerate(request.param):
        place = tmp_path / str(number)
        place.mkdir()
        found.append(
            sqlite_url(place) if kind == "sqlite" else request.getfixturevalue("postgres_url")
        )
    return found[0], found[1]


@pytest.fixture
def house(urls: tuple[str, str]) -> Iterator[House]:
    """An installation with templates, schedules, an ended job and one that is to come."""
    made = make_house(urls[0])
    Sowing(made.database, made.now).sow("acme")
    with made.client() as ann:
        for path, wish in (("templates", {"text": TEXT}), ("schedules", SCHEDULE)):
            assert ann.post(f"/api/v1/{path}", json=wish).status_code == 201
        done = ann.post("/api/v1/templates/look/run").json()["id"]
        made.reply(done, "web1")
        with made.database.transaction() as connection:
            log = {"job": done, "node": "web1", "attempt": 1, "stream": "stdout", "org": "acme"}
            connection.execute(logs.insert().values(log | {"content": b"\x00\xff said"}))
        ann.post("/api/v1/templates/look/run", json={"params": {"who": "web2"}})
    yield made
    made.database.close()


@pytest.fixture
def new(urls: tuple[str, str]) -> Iterator[Database]:
    database = Database.open(urls[1])
    database.migrate()
    yield database
    database.close()


def everything(database: Database) -> dict[str, list[Any]]:
    """All rows of all tables, as they are read."""
    with database.reading() as connection:
        return {
            table.name: [
                dict(row)
                for row in connection.execute(
                    select(table).order_by(*table.primary_key.columns)
                ).mappings()
            ]
            for table in carried()
        }


def shown(client: TestClient) -> list[Any]:
    """What people see of it."""
    paths = ("jobs", "templates", "schedules", "nodes", "schedules/nightly/preview")
    return [client.get(f"/api/v1/{path}").json() for path in paths]


def carry(house: House, new: Database, *, move: bool = True) -> str:
    lines = export(house.database, move=move, at=house.now)
    return take(new, lines, at=house.now)


@pytest.mark.spec("S1-02")
def test_what_comes_out_is_what_went_in(house: House, new: Database) -> None:
    before = everything(house.database)

    said = carry(house, new)

    after = everything(new)
    for name in ("events", "audit"):
        after[name] = after[name][: len(before[name])]  # behind them: that it was moved
    assert after == before
    assert "4 nodes, 2 jobs, 11 schedules and 11 templates" in said


@pytest.mark.spec("S1-02")
def test_people_see_the_same_and_their_tokens_count(
    house: House, new: Database, urls: tuple[str, str]
) -> None:
    with house.client() as ann:
        before = shown(ann)
    carry(house, new)

    app = make_app(
        new, control=Control(new, lambda: house.now), clock=lambda: house.now, key=house.key
    )
    headers = {"Authorization": f"Bearer {house.tokens['ann']}"}
    with TestClient(app, headers=headers) as ann:
        after = shown(ann)
        assert ann.post("/api/v1/templates/look/run").status_code == 202

    for one in (*before[3]["items"], *after[3]["items"]):
        one.pop("alive", None)
    assert after == before
    assert urls


@pytest.mark.spec("S1-02")
def test_what_was_to_come_is_handed_over_once_and_by_the_new_one(
    house: House, new: Database
) -> None:
    """The old one is told to hand nothing over any more before anything is read from it."""
    carry(house, new)

    with house.database.reading() as connection:
        told = read_switch(connection, RELAY)
    assert told is not None
    assert "moved to another installation" in told.message
    with new.reading() as connection:
        assert read_switch(connection, RELAY) is None
    assert [run for run, _ in hand_over(new, house)] == ["web2"]
    assert hand_over(new, house) == []


def hand_over(database: Database, house: House) -> list[tuple[str, JobId]]:
    with database.transaction() as connection:
        due = runs_to_dispatch(connection, house.now + timedelta(minutes=1), 100)
        mark_queued(connection, due, house.now, timedelta(hours=1))
    return [(item.node, item.job) for item in due]


def test_what_was_only_copied_waits_until_somebody_says_so(house: House, new: Database) -> None:
    said = carry(house, new, move=False)

    assert "fj coordinator resume" in said
    with house.database.reading() as connection:
        assert read_switch(connection, RELAY) is None
    with new.reading() as connection:
        assert read_switch(connection, RELAY) is not None


def test_numbers_go_on_where_they_were(house: House, new: Database) -> None:
    carry(house, new)

    with new.transaction() as connection:
        add_event(connection, at=house.now, kind="test", actor="test", detail={})
    rows = everything(new)["events"]
    assert rows[-1]["kind"] == "test"
    assert len({row["seq"] for row in rows}) == len(rows)


class TestDamage:
    """Of SQLite alone: the document is the same."""

    @pytest.fixture
    def urls(self, tmp_path: Path) -> tuple[str, str]:
        for name in ("old", "new"):
            (tmp_path / name).mkdir()
        return sqlite_url(tmp_path / "old"), sqlite_url(tmp_path / "new")

    def test_a_full_installation_is_left_alone(self, house: House) -> None:
        before = everything(house.database)
        lines = list(export(house.database, move=False, at=house.now))

        with pytest.raises(Conflict, match=r"4 nodes in the database already; .* empty"):
            take(house.database, iter(lines), at=house.now)
        assert everything(house.database) == before

    def test_an_installation_that_was_set_up_and_not_used_is_empty(
        self, house: House, new: Database
    ) -> None:
        with new.transaction() as connection:
            create_org(connection, "default", now=house.now)
        Sowing(new, house.now).sow("default")

        carry(house, new)

        assert everything(new)["orgs"] == everything(house.database)["orgs"]

    @pytest.mark.parametrize("keep", [0, 1, 3, 40, -1])
    def test_a_document_that_was_cut_off_changes_nothing(
        self, house: House, new: Database, keep: int
    ) -> None:
        lines = list(export(house.database, move=False, at=house.now))
        before = everything(new)

        with pytest.raises(InvalidDocument):
            take(new, iter(lines[:keep]), at=house.now)
        assert everything(new) == before

    def test_another_version_is_refused(self, house: House, new: Database) -> None:
        first, *rest = export(house.database, move=False, at=house.now)
        head = json.loads(first + "}}") | {"revision": "0001"}
        older = json.dumps(head)[:-2] + "\n"

        with pytest.raises(Conflict, match="exported at revision 0001"):
            take(new, iter([older, *rest]), at=house.now)

    def test_it_is_one_json_document(self, house: House) -> None:
        found = json.loads("".join(export(house.database, move=False, at=house.now)))

        assert [one["state"] for one in found["tables"]["jobs"]].count(State.SUCCEEDED) == 1
