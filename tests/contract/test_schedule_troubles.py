"""Schedules in trouble: what is gone, taken or deleted keeps up nothing else."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from sqlalchemy import update

from fleetjobs.access import Role
from fleetjobs.contract import Next
from fleetjobs.control.authoring import Author
from fleetjobs.control.followers import Followers
from fleetjobs.control.jobs import Control
from fleetjobs.control.occurrences import job_of
from fleetjobs.control.works import AT_ONCE
from fleetjobs.documents import encode
from fleetjobs.errors import NotFound
from fleetjobs.names import JobId
from fleetjobs.plans.documents import Plan
from fleetjobs.plans.shapes import leg_id
from fleetjobs.schedules.documents import Call, Overlap, TemplateCall, Work
from fleetjobs.schedules.rules import Rule
from fleetjobs.states import Reason, State
from fleetjobs.store.access import Account, create_account
from fleetjobs.store.database import Database
from fleetjobs.store.followers import children_of
from fleetjobs.store.replies import apply_replies
from fleetjobs.store.schema.schedules import schedules
from fleetjobs.targets import Target
from tests.contract.test_control_schedules import MINUTE, Desk, schedule
from tests.desk import KEY, WHO
from tests.makers import NOW, ORG, Clock, add_org, enroll, make_reply, make_request, new_id
from tests.plans import make_leg
from tests.tables import sqlite_url


@pytest.fixture
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    opened = Database.open(sqlite_url(tmp_path_factory.mktemp("schedules")))
    add_org(opened)
    enroll(opened, "web1", "web2")
    with opened.transaction() as connection:
        bob = Account(name="bob", org=ORG, role=Role.OPERATOR, verify_key=None)
        create_account(connection, bob, now=NOW)
    yield Desk(Control(opened, clock := Clock()), clock)
    opened.close()


def seal(asked: Any) -> str:
    return KEY.seal(encode(asked))


def test_a_schedule_whose_zone_is_gone_says_so_and_keeps_up_no_other(desk: Desk) -> None:
    """Zones leave the list when a system is upgraded."""
    gone = desk.create(label="gone", rule=Rule(cron="* * * * *", zone="Europe/Prague"))
    other = desk.create(label="other")
    document = msgspec.to_builtins(gone.document)
    document["rule"]["zone"] = "Europe/Atlantis"
    with desk.control.database.transaction() as connection:
        mine = schedules.c.id == gone.id
        connection.execute(update(schedules).where(mine).values(document=document))

    desk.pass_time(MINUTE)
    desk.pass_time(MINUTE)

    assert len(desk.jobs_of(other)) == 2
    (job,) = desk.jobs_of(gone)
    assert (job.state, job.reason) == (State.FAILED, Reason.INVALID)
    assert desk.events(job.id)[-1].detail["why"].startswith("'Europe/Atlantis' is no time zone")
    assert desk.entry(gone).next_at is None


def test_a_plan_that_cannot_be_kept_leaves_nothing_that_waits(desk: Desk) -> None:
    """Somebody used the id that one of its legs was to have."""
    plan = Plan(legs=(make_leg("a", "web1"),))
    entry = desk.create(work=Work(plan=plan))
    assert entry.next_at is not None
    desk.hand_in(make_request(id=leg_id(job_of(entry.id, entry.next_at), "a")))

    desk.pass_time(MINUTE)

    (job,) = desk.jobs_of(entry)
    assert job.state is State.FAILED
    assert "used before" in desk.events(job.id)[-1].detail["why"]


def test_what_the_previous_job_asked_for_is_cancelled_with_it(desk: Desk) -> None:
    both = Target(identities=("web1", "web2"))
    call = Call(agent="demo", action="echo", data={"text": "hi"}, target=both)
    entry = desk.create(work=Work(call=call), overlap=Overlap.CANCEL_PREVIOUS)
    desk.pass_time(MINUTE)
    (first,) = desk.jobs_of(entry)
    asked = Next(agent="demo", action="echo", data={"text": "more"})
    with desk.control.database.transaction() as connection:
        reply = make_reply(first.id, "web1", next=(asked,))
        apply_replies(connection, [reply], desk.clock(), follow=Followers(seal).follow)
    with desk.control.database.reading() as connection:
        (follower,) = children_of(connection, desk.job(first.id), limit=9)

    desk.pass_time(MINUTE)

    assert desk.job(first.id).state is State.CANCELLED
    assert desk.job(follower).state is State.CANCELLED


def test_a_deleted_schedule_is_neither_changed_nor_run(desk: Desk) -> None:
    entry = desk.create()
    desk.control.schedules.delete("echo", **WHO)

    with pytest.raises(NotFound, match="was deleted"):
        desk.control.schedules.run_now(entry.id, seal=seal, **WHO)
    with pytest.raises(NotFound, match="was deleted"):
        desk.control.schedules.change(entry.id, schedule(rule=Rule(every_s=30)), **WHO)
    assert desk.control.schedules.delete(entry.id, **WHO).ended_at is not None


def test_a_version_beyond_all_numbers_is_not_found(desk: Desk) -> None:
    text = "name: t\naction: demo.echo\ndata: {text: x}\ntarget: {identities: web1}\n"
    author = Author(org=ORG, account="bob")
    desk.control.templates.create(text, author, label=None, is_fleet=False)

    for number in (2, 2**31, 2**63):
        call = TemplateCall(name="t", version=number)
        with pytest.raises(NotFound, match="there are 1 to 1"):
            desk.control.templates.run(
                call, AT_ONCE, org=ORG, account="bob", id=JobId(new_id()), seal=seal
            )
