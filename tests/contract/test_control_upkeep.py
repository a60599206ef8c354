"""Upkeep: what is old goes, what is needed stays, and what is due is told."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from fleetjobs.access import Role
from fleetjobs.control.notices import Notices
from fleetjobs.control.upkeep import Upkeep
from fleetjobs.errors import InvalidNotification
from fleetjobs.jobs import Job
from fleetjobs.notices import subject, text_of
from fleetjobs.states import Reason, State
from fleetjobs.store.access import Account, create_account
from fleetjobs.store.database import Database
from fleetjobs.store.jobs import get_job
from fleetjobs.store.notices import due_notices
from fleetjobs.store.schema.runs import runs
from fleetjobs.store.tokens import create_token
from tests.makers import NOW, ORG, Clock, enroll, keep_job

DAY = timedelta(days=1)
WEEK = timedelta(days=7)


@pytest.fixture
def upkeep(database: Database) -> Upkeep:
    enroll(database, "web1", "web2")
    return Upkeep(database, Clock())


def ended(database: Database, ago: timedelta, **more: Any) -> Job:
    fields = {"state": State.SUCCEEDED, "ended_at": NOW - ago, "created_at": NOW - ago}
    return keep_job(database, "web1", **fields | more)


def is_there(database: Database, job: Job) -> bool:
    with database.reading() as connection:
        return get_job(connection, job.id, org=ORG) is not None


@pytest.mark.spec("S2-31")
def test_old_successes_go_and_what_waits_for_a_person_stays(
    upkeep: Upkeep, database: Database
) -> None:
    old, older = ended(database, 8 * DAY), ended(database, 9 * DAY)
    fresh = ended(database, 6 * DAY)
    needed = ended(database, 9 * DAY, state=State.FAILED, reason=Reason.RUNS_FAILED, attention=True)

    told = upkeep.prune(WEEK, dry_run=True)
    assert told == [(ORG, older.id), (ORG, old.id)]
    assert all(is_there(database, job) for job in (old, older, fresh, needed))

    assert upkeep.prune(WEEK, dry_run=False) == told
    assert [is_there(database, job) for job in (old, older, fresh, needed)] == [
        False,
        False,
        True,
        True,
    ]
    assert upkeep.prune(WEEK, dry_run=False) == []


@pytest.mark.parametrize("full", [False, True])
def test_the_database_is_tidied_up_and_goes_on(
    upkeep: Upkeep, database: Database, *, full: bool
) -> None:
    job = ended(database, DAY)

    before, after = upkeep.vacuum(full=full)

    assert min(before, after) > 0
    assert is_there(database, job)
    assert ended(database, DAY)


def test_a_report_counts_nodes_and_jobs_and_leaves_the_fleets_own_out(
    upkeep: Upkeep, database: Database
) -> None:
    enroll(database, "@controller")
    ended(database, timedelta(hours=1))
    ended(database, 2 * DAY)

    found = upkeep.report(ORG, DAY)

    assert found["alive"] + len(found["silent"]) == 2
    assert found["jobs"] == {"succeeded": 1}
    assert upkeep.report("other", DAY)["jobs"] == {}


def test_runs_that_wait_for_a_person_are_listed(upkeep: Upkeep, database: Database) -> None:
    job = keep_job(database, "web1", "web2", state=State.PAUSED)
    with database.transaction() as connection:
        here = (runs.c.job == job.id) & (runs.c.node == "web2")
        connection.execute(update(runs).where(here).values(attention=True, reason=Reason.LOST))

    assert upkeep.attention(ORG) == [
        {"job": job.id, "node": "web2", "state": "paused", "reason": "lost"}
    ]
    assert upkeep.attention("other") == []


def test_what_expires_soon_is_told(upkeep: Upkeep, database: Database, tmp_path: Path) -> None:
    with database.transaction() as connection:
        who = Account(name="bob", org=ORG, role=Role.OPERATOR, verify_key=None)
        create_account(connection, who, now=NOW)
        for name, days in (("soon", 3), ("later", 30), ("past", -1)):
            create_token(connection, "bob", name=name, now=NOW, expires_at=NOW + days * DAY)
        create_token(connection, "bob", name="for ever", now=NOW)
    (tmp_path / "no.pem").write_text("no certificate")

    found = upkeep.expiring(ORG, WEEK, [f"{tmp_path}/*.pem", "/nowhere/*"])

    assert found == [
        {"what": "the token soon of bob", "at": (NOW + 3 * DAY).isoformat()},
    ]


def test_a_report_is_told_once_to_those_named_and_those_who_wish(
    upkeep: Upkeep, database: Database
) -> None:
    """Also if its job is tried again; nobody hears of another org's."""
    notices = Notices(database, Clock())
    ops, hook = "mail:ops@example.org", "webhook:https://example.org/hook"
    for org in (ORG, "other"):
        notices.wish(org=org, account="bob", job=None, sinks=[ops], on="report")
    job = ended(database, DAY)
    document = {"report": "attention-digest", "summary": "2 runs wait", "runs": ["a", "b"]}

    told = [upkeep.tell(ORG, job.id, document, [hook, ops]) for _ in range(2)]

    assert told == [2, 2]
    with database.reading() as connection:
        found = due_notices(connection, NOW, 100)
    assert sorted(notice.sink for notice in found) == [ops, hook]
    assert subject(found[0]) == f"fleetjobs: [{ORG}] attention-digest: 2 runs wait"
    assert "\nruns:\n  a\n  b\n" in text_of(found[0].document)
    with pytest.raises(InvalidNotification):
        upkeep.tell(ORG, job.id, document, ["ops@example.org"])
