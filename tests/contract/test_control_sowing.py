"""What an installation has from the beginning: made once, and then people's own."""

import dataclasses
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from fleetjobs.control.authoring import Author
from fleetjobs.control.jobs import Control
from fleetjobs.control.schedules import Schedules
from fleetjobs.control.sowing import Sowing
from fleetjobs.coordinator.scheduler import Scheduler
from fleetjobs.documents import encode
from fleetjobs.errors import InvalidSetting
from fleetjobs.jobs import Job
from fleetjobs.schedules.rules import Rule
from fleetjobs.seeds.nightly import MAINTENANCE, SEEDS
from fleetjobs.states import State
from fleetjobs.store.database import Database
from fleetjobs.store.jobs import JobFilter, list_jobs
from fleetjobs.store.schedules import (
    Entry,
    builtin_entries,
    get_entry,
    insert_entry,
    list_occurrences,
)
from fleetjobs.store.templates import find_template, get_version, list_templates
from tests.desk import KEY
from tests.makers import NOW, ORG, Clock, new_id

RULER = Author(org=ORG, account="ruth", of_fleet=True)
NIGHT = "prune-history-default"
NEWER = [
    dataclasses.replace(
        seed,
        version=seed.version + 1,
        text=seed.text.replace("description: ", "description: better ", 1),
    )
    for seed in SEEDS
]


@pytest.fixture
def sowing(database: Database) -> Sowing:
    made = Sowing(database, NOW)
    made.sow(ORG)
    return made


@pytest.fixture
def control(database: Database) -> Control:
    return Control(database, Clock())


def entry(database: Database, label: str = NIGHT) -> Entry:
    with database.reading() as connection:
        return get_entry(connection, label, org=ORG)


def rows(database: Database) -> list[Any]:
    with database.reading() as connection:
        return [*builtin_entries(connection), *list_templates(connection, org=ORG, limit=100).items]


@pytest.mark.spec("S2-06")
def test_an_empty_installation_gets_templates_and_schedules_that_are_enabled(
    sowing: Sowing, database: Database
) -> None:
    with database.reading() as connection:
        entries = builtin_entries(connection)
        found = list_templates(connection, org=ORG, limit=100).items

    assert len(found) == len(entries) == len(SEEDS) >= 8
    assert {one.label for one in entries} == {f"{one.label}-default" for one in found}
    assert all(one.builtin and one.org is None for one in found)
    assert all(one.builtin and one.document.enabled and one.next_at for one in entries)
    assert {one.owner for one in entries} == {MAINTENANCE}
    assert sowing.now == NOW


@pytest.mark.spec("S2-06")
def test_a_second_time_changes_nothing(sowing: Sowing, database: Database) -> None:
    before = rows(database)

    assert dataclasses.replace(sowing, now=NOW + timedelta(days=1)).sow(ORG) == 0
    assert dataclasses.replace(sowing, now=NOW + timedelta(days=1)).sow("acme") == 0
    assert rows(database) == before


@pytest.mark.spec("S2-06")
def test_what_was_edited_survives_an_upgrade_and_the_rest_follows_it(
    sowing: Sowing, database: Database, control: Control
) -> None:
    own = SEEDS[0].text.replace("default: 365", "default: 90")
    control.templates.change("prune-history", own, RULER)
    _reschedule(control.schedules, entry(database), Rule(every_s=3600))

    assert sowing.sow(ORG, NEWER) == 2 * len(SEEDS) - 2

    with database.reading() as connection:
        kept = find_template(connection, "prune-history", org=None)
        vacuum = find_template(connection, "vacuum", org=None)
        assert kept is not None
        assert vacuum is not None
        assert get_version(connection, kept).text == own
        assert get_version(connection, vacuum).text.count("better ") == 1
    assert entry(database).document.rule == Rule(every_s=3600)
    assert sowing.sow(ORG, NEWER) == 0


def test_a_label_that_somebody_has_already_stays_theirs(database: Database) -> None:
    sowing, first = Sowing(database, NOW), SEEDS[0].schedule.label
    sowing.sow(ORG, SEEDS[1:])
    theirs = dataclasses.replace(
        entry(database, SEEDS[1].schedule.label),
        id=new_id(),
        label=first,
        owner="bob",
        builtin=False,
        seed=None,
    )
    with database.transaction() as connection:
        insert_entry(connection, theirs)

    assert sowing.sow(ORG) == 1  # the template
    assert sowing.sow(ORG) == 0
    assert entry(database, first).owner == "bob"


def _reschedule(schedules: Schedules, found: Entry, rule: Rule) -> None:
    """As a person does; whether a node could do it is not what is looked at here."""
    changed = dataclasses.replace(
        found, document=msgspec.structs.replace(found.document, rule=rule), seed=None
    )
    with schedules.database.transaction() as connection:
        schedules._save(connection, changed, "schedule.changed", "ruth")


@pytest.mark.spec("S2-06")
def test_disabled_stays_disabled_and_deleted_stays_deleted(
    sowing: Sowing, database: Database, control: Control
) -> None:
    who = {"org": ORG, "account": "ruth"}
    control.schedules.enable(NIGHT, enabled=False, **who)
    control.schedules.delete("vacuum-default", **who)
    control.templates.delete("check-disk", RULER)

    sowing.sow(ORG, NEWER)

    assert (entry(database).document.enabled, entry(database).next_at) == (False, None)
    with database.reading() as connection:
        gone = [one for one in builtin_entries(connection) if one.label == "vacuum-default"]
        assert [one.ended_at is not None for one in gone] == [True]
        assert find_template(connection, "check-disk", org=None) is None


@pytest.mark.spec("S1-36")
def test_settings_switch_a_builtin_schedule_off_and_on(
    sowing: Sowing, database: Database, control: Control
) -> None:
    sowing.bar([NIGHT])
    _pass_time(control, timedelta(days=2))

    barred = entry(database)
    assert (barred.barred, barred.document.enabled, barred.next_at) == (True, True, None)
    with database.reading() as connection:
        assert list_occurrences(connection, barred.id, limit=10) == []

    dataclasses.replace(sowing, now=control.clock()).bar([])
    _pass_time(control, timedelta(days=1))
    with database.reading() as connection:
        assert len(list_occurrences(connection, barred.id, limit=10)) == 1
    with pytest.raises(InvalidSetting, match=r"no builtin schedule 'prune'; there are"):
        sowing.bar(["prune"])


def test_without_a_node_of_its_own_its_jobs_fail_and_show(
    sowing: Sowing, database: Database, control: Control
) -> None:
    _pass_time(control, timedelta(days=1))

    jobs = _jobs(database)
    assert len(jobs) >= len(SEEDS) - 1  # one of them is weekly
    assert {job.state for job in jobs} == {State.FAILED}
    assert sowing.now < control.clock()


def _pass_time(control: Control, by: timedelta) -> None:
    assert isinstance(control.clock, Clock)
    control.clock.forward(by)
    scheduler = Scheduler(control.database, control.clock, lambda one: KEY.seal(encode(one)))
    while scheduler.step():
        pass


def _jobs(database: Database) -> list[Job]:
    with database.reading() as connection:
        return list_jobs(connection, JobFilter(org=ORG, caller=MAINTENANCE), limit=100).items
