"""A coordinator with nothing to do costs next to nothing, however much is planned."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event

from fleetjobs.access import Role
from fleetjobs.control.acceptance import Acceptance
from fleetjobs.control.schedules import Schedules
from fleetjobs.coordinator.dispatcher import Dispatcher
from fleetjobs.coordinator.lead import Lead
from fleetjobs.coordinator.reaper import Reaper
from fleetjobs.coordinator.scheduler import Scheduler
from fleetjobs.names import NodeId
from fleetjobs.programs.coordinator import LOOK_EVERY_S, REAP_EVERY_S, RENEW
from fleetjobs.programs.settings import CoordinatorSettings
from fleetjobs.schedules.documents import Call, Schedule, Work
from fleetjobs.schedules.rules import Rule
from fleetjobs.signing import COORDINATOR, SigningKey
from fleetjobs.states import State
from fleetjobs.store.accepting import insert_job
from fleetjobs.store.access import Account, create_account
from fleetjobs.store.database import Database
from fleetjobs.targets import Target
from tests.makers import NOW, ORG, Clock, enroll, make_job
from tests.unit.coordinator.fakes import FakePublisher

LEASE_S = next(
    default
    for name, default in zip(
        reversed(CoordinatorSettings.__struct_fields__),
        reversed(CoordinatorSettings.__struct_defaults__),
        strict=False,
    )
    if name == "lease_s"
)


@pytest.fixture
def statements() -> Iterator[list[str]]:
    """What the database is asked meanwhile."""
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if not statement.startswith("BEGIN"):
            asked.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield asked
    event.remove(Engine, "before_cursor_execute", note)


def make_schedules(database: Database, count: int) -> None:
    """Schedules that come every hour from now on."""
    enroll(database, "web1")
    call = Call(
        agent="demo", action="echo", data={"text": "x"}, target=Target(identities=("web1",))
    )
    desk = Schedules(database, Clock(), Acceptance())
    with database.transaction() as connection:
        ann = Account(name="ann", org=ORG, role=Role.OPERATOR, verify_key=None)
        create_account(connection, ann, now=NOW)
    for number in range(count):
        schedule = Schedule(label=f"s{number}", work=Work(call=call), rule=Rule(every_s=3600))
        desk.create(schedule, org=ORG, account="ann")


def test_schedules_that_are_not_due_cost_one_question_however_many_there_are(
    database: Database, clock: Clock, statements: list[str]
) -> None:
    make_schedules(database, 100)
    scheduler = Scheduler(database, clock, lambda _: "sealed")
    statements.clear()

    assert scheduler.step() == 0

    assert len(statements) == 1


def test_schedules_that_come_together_share_what_they_ask(
    database: Database, clock: Clock, statements: list[str]
) -> None:
    """A thousand of them would come late if each took statements of its own."""
    make_schedules(database, 100)
    scheduler = Scheduler(database, clock, lambda _: "sealed")
    statements.clear()
    clock.forward(timedelta(hours=1))

    assert scheduler.step() == 100

    assert len(statements) <= 120


@pytest.mark.spec("S1-03")
def test_an_idle_minute_with_a_thousand_jobs_to_come_is_two_questions_a_second(
    database: Database, clock: Clock, statements: list[str]
) -> None:
    enroll(database, "web1")
    later = NOW + timedelta(days=1)
    with database.transaction() as connection:
        for _ in range(1000):
            job = make_job(state=State.SCHEDULED, not_before=later)
            insert_job(connection, job, [NodeId("web1")], meaning="m", dispatch_at=later)
    key = SigningKey.generate(COORDINATOR)
    loops: list[tuple[float, Callable[[], object]]] = [
        (LOOK_EVERY_S, Dispatcher(database, FakePublisher(), key, clock).step),
        (REAP_EVERY_S, Reaper(database, clock).step),
        (LEASE_S * RENEW, Lead(database, clock, holder="here:1").step),
    ]
    for _, step in loops:  # the first steps do more
        step()
    statements.clear()

    for every, step in loops:
        for _ in range(int(60 / every)):
            clock.forward(timedelta(seconds=0.01))
            step()

    assert len(statements) <= 120
