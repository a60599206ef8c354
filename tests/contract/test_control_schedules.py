"""Schedules: each occurrence is one job or one reason why not; on both databases."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import delete

from fleetjobs.access import Role
from fleetjobs.api.describing import describe
from fleetjobs.control.jobs import Control
from fleetjobs.control.outlooks import Outlooks
from fleetjobs.coordinator.lead import Lead
from fleetjobs.coordinator.reaper import Reaper
from fleetjobs.coordinator.scheduler import Scheduler
from fleetjobs.documents import encode
from fleetjobs.errors import Conflict, InvalidSchedule, NotFound, Outdated, UnknownAction
from fleetjobs.jobs import Job, Kind
from fleetjobs.plans.documents import Leg, Need, Plan
from fleetjobs.schedules.documents import Call, Misfire, Overlap, Schedule, Work
from fleetjobs.schedules.due import Fate
from fleetjobs.schedules.rules import Rule
from fleetjobs.schedules.windows import Opening, Window, WindowKind
from fleetjobs.states import Reason, State, WaitReason
from fleetjobs.store.access import Account, create_account, set_account
from fleetjobs.store.database import Database
from fleetjobs.store.dependencies import list_dependencies
from fleetjobs.store.events import list_events
from fleetjobs.store.jobs import JobFilter, list_jobs
from fleetjobs.store.plans import list_legs
from fleetjobs.store.schedules import Entry, get_entry, list_occurrences
from fleetjobs.store.schema.nodes import nodes
from fleetjobs.targets import Target
from tests.desk import KEY, WHO
from tests.desk import Desk as OldDesk
from tests.makers import NOW, ORG, Clock, enroll, make_reply

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


class Desk(OldDesk):
    """A desk with a scheduler."""

    @property
    def scheduler(self) -> Scheduler:
        return Scheduler(self.control.database, self.clock, lambda r: KEY.seal(encode(r)))

    def create(self, **changes: Any) -> Entry:
        return self.control.schedules.create(schedule(**changes), **WHO)

    def pass_time(self, by: timedelta) -> None:
        """Let time pass and the scheduler look."""
        self.clock.now += by
        while self.scheduler.step():
            pass

    def jobs_of(self, entry: Entry) -> list[Job]:
        """The schedule's jobs, the first one first."""
        with self.control.database.reading() as connection:
            page = list_jobs(connection, JobFilter(org=ORG, schedule=entry.id), limit=500)
        found = sorted(page.items, key=lambda job: job.occurrence or 0)
        self.ours |= {job.id for job in found}
        return found

    def fates(self, entry: Entry) -> list[tuple[Fate, Reason | None]]:
        with self.control.database.reading() as connection:
            found = list_occurrences(connection, entry.id, limit=1000)
        return [(item.fate, item.reason) for item in reversed(found)]

    def entry(self, entry: Entry) -> Entry:
        with self.control.database.reading() as connection:
            return get_entry(connection, entry.id, org=ORG)


def schedule(**changes: Any) -> Schedule:
    """Every minute an echo on web1."""
    call = Call(
        agent="demo", action="echo", data={"text": "hi"}, target=Target(identities=("web1",))
    )
    values: dict[str, Any] = {
        "label": "echo",
        "work": Work(call=call),
        "rule": Rule(every_s=60),
        "overlap": Overlap.ALLOW,
    }
    return Schedule(**values | changes)


@pytest.fixture
def desk(database: Database) -> Desk:
    enroll(database, "web1", "web2")
    with database.transaction() as connection:
        bob = Account(name="bob", org=ORG, role=Role.OPERATOR, verify_key=None)
        create_account(connection, bob, now=NOW)
    return Desk(Control(database, clock := Clock()), clock)


@pytest.mark.spec("S1-18")
def test_each_occurrence_is_a_job_with_its_number(desk: Desk) -> None:
    entry = desk.create()

    for _ in range(3):
        desk.pass_time(MINUTE)

    jobs = desk.jobs_of(entry)
    assert [job.occurrence for job in jobs] == [1, 2, 3]
    assert {job.schedule for job in jobs} == {entry.id}
    assert {job.state for job in jobs} == {State.WAITING}
    assert [fate for fate, _ in desk.fates(entry)] == [Fate.RAN] * 3
    assert desk.entry(entry).next_at == NOW + 4 * MINUTE


@pytest.mark.spec("S2-07")
def test_after_a_restart_of_all_the_next_time_is_the_same(desk: Desk, database_url: str) -> None:
    entry = desk.create(rule=Rule(cron="0 4 * * *", zone="Europe/Prague"))
    before = desk.entry(entry)

    desk.control.database.close()
    again = Desk(Control(Database.open(database_url), desk.clock), desk.clock)
    again.pass_time(MINUTE)

    assert again.entry(entry) == before
    assert before.next_at == NOW + timedelta(hours=23)
    again.control.database.close()


@pytest.mark.spec("I6")
def test_two_that_believe_they_lead_make_each_job_once(desk: Desk) -> None:
    entry = desk.create()
    desk.clock.now += MINUTE
    first, second = desk.scheduler, desk.scheduler

    assert first.step() + second.step() == 1
    assert len(desk.jobs_of(entry)) == 1


@pytest.mark.spec("S2-33")
def test_a_clock_that_is_set_back_fires_nothing_again(desk: Desk) -> None:
    entry = desk.create()
    desk.pass_time(3 * MINUTE)
    before = desk.jobs_of(entry)

    desk.clock.now -= timedelta(days=1)
    desk.pass_time(MINUTE)
    desk.pass_time(timedelta(days=1) - MINUTE)

    assert desk.jobs_of(entry) == before


def test_an_occurrence_in_a_blackout_is_skipped_and_not_missed(desk: Desk) -> None:
    """Of all its nodes: where one is free, it becomes a job. Of a plan, where its first leg is."""
    entry = desk.create()
    two = [
        Leg(
            key=f"on{node}",
            agent="demo",
            action="echo",
            data={"text": "hi"},
            target=Target(identities=(node,)),
            needs=needs,
        )
        for node, needs in (("web1", ()), ("web2", (Need(leg="onweb1"),)))
    ]
    plan = desk.create(label="plan", work=Work(plan=Plan(legs=tuple(two))))
    backwards = Plan(legs=(two[0], msgspec.structs.replace(two[1], needs=())))
    loose = desk.create(label="loose", work=Work(plan=backwards))
    both = Target(identities=("web1", "web2"))
    call = Call(agent="demo", action="echo", data={"text": "hi"}, target=both)
    some = desk.create(label="some", work=Work(call=call))
    opening = Opening(rule=Rule(at=(NOW,)), lasts_s=150.0)
    everywhere = Window(name="freeze", kind=WindowKind.BLACKOUT, openings=(opening,))
    desk.control.windows.create(everywhere, **WHO)
    desk.pass_time(2 * MINUTE)

    assert desk.fates(entry) == [(Fate.SKIPPED, Reason.WINDOW)] * 2
    assert desk.jobs_of(entry) == []
    later = Opening(rule=Rule(at=(NOW + 2 * MINUTE,)), lasts_s=3600.0)
    named = Target(identities=("web1",))
    desk.control.windows.delete("freeze", **WHO)
    part = Window(name="part", kind=WindowKind.BLACKOUT, openings=(later,), target=named)
    desk.control.windows.create(part, **WHO)
    desk.pass_time(MINUTE)
    assert desk.fates(entry)[-1] == (Fate.SKIPPED, Reason.WINDOW)
    assert desk.fates(plan)[-1] == (Fate.SKIPPED, Reason.WINDOW)
    assert desk.fates(some)[-1] == desk.fates(loose)[-1] == (Fate.RAN, None)


def test_a_clock_that_is_set_back_is_told_of_once(database: Database) -> None:
    clock = Clock()
    lead = Lead(database, clock, holder="host:1")
    lead.step()
    clock.now -= timedelta(days=1)
    lead.step()
    lead.step()

    with database.reading() as connection:
        events = list_events(connection, org=None, limit=100)
    kinds = [event.kind for event in events]
    assert kinds.count("clock.set_back") == 1


@pytest.mark.spec("S2-33")
def test_a_clock_that_is_set_back_is_on_record(desk: Desk) -> None:
    scheduler = desk.scheduler
    for by in (HOUR, -timedelta(seconds=30), -HOUR, timedelta()):
        desk.clock.now += by
        scheduler.step()

    with desk.control.database.reading() as connection:
        found = list_events(connection, org=None, kinds=["clock.set_back"], limit=10)
    assert [event.detail["by_s"] for event in found] == [3600]


@pytest.mark.spec("S2-33")
def test_after_a_reinitialization_the_next_time_counts_from_now(desk: Desk) -> None:
    entry = desk.create(rule=Rule(cron="0 4 * * *"))
    desk.clock.now += timedelta(days=30)

    assert desk.control.schedules.reinitialize(**WHO) == 1
    desk.pass_time(timedelta())

    assert desk.jobs_of(entry) == []
    assert desk.entry(entry).next_at == desk.clock().replace(
        hour=4, minute=0, second=0, microsecond=0
    ) + timedelta(days=int(desk.clock().hour >= 4))


@pytest.mark.spec("S1-20")
def test_sixty_missed_minutes_are_one_job(desk: Desk) -> None:
    entry = desk.create()

    desk.pass_time(60 * MINUTE)

    (job,) = desk.jobs_of(entry)
    fates = [fate for fate, _ in desk.fates(entry)]
    assert job.missed_count == 60
    assert (len(fates), fates.count(Fate.RAN)) == (60, 1)


@pytest.mark.spec("T9", "T11")
def test_what_is_missed_beyond_its_grace_is_an_expired_job(desk: Desk) -> None:
    """The services that were to be restarted at four are not restarted at nine, and it shows."""
    entry = desk.create(rule=Rule(at=(NOW + MINUTE,)))

    desk.pass_time(timedelta(hours=5))

    (job,) = desk.jobs_of(entry)
    assert (job.state, job.reason, job.missed_count) == (State.EXPIRED, Reason.MISSED, 1)
    assert desk.fates(entry) == [(Fate.MISSED, Reason.MISSED)]
    assert desk.entry(entry).next_at is None


def test_all_are_made_up_for_where_that_is_wanted(desk: Desk) -> None:
    entry = desk.create(misfire=Misfire.RUN_ALL, catch_up=5)

    desk.pass_time(8 * MINUTE)

    assert len(desk.jobs_of(entry)) == 5


@pytest.mark.spec("S1-35")
def test_one_waits_behind_the_one_that_runs_and_others_are_skipped(desk: Desk) -> None:
    entry = desk.create(overlap=Overlap.QUEUE_ONE)

    for _ in range(3):
        desk.pass_time(MINUTE)

    first, second = desk.jobs_of(entry)
    assert (second.state, second.wait_reason) == (State.WAITING, WaitReason.DEPENDENCY)
    with desk.control.database.reading() as connection:
        assert [item.on_job for item in list_dependencies(connection, second.id)] == [first.id]
        last = list_occurrences(connection, entry.id, limit=1)[0]
    assert (last.fate, last.reason, last.job) == (Fate.SKIPPED, Reason.OVERLAP, second.id)


@pytest.mark.spec("S1-35")
@pytest.mark.parametrize("overlap", [Overlap.SKIP, Overlap.COALESCE])
def test_while_a_job_lives_no_other_is_made(desk: Desk, overlap: Overlap) -> None:
    entry = desk.create(overlap=overlap)
    desk.pass_time(MINUTE)
    desk.pass_time(MINUTE)
    (job,) = desk.jobs_of(entry)

    desk.control.verbs.cancel(job.id, **WHO)
    desk.pass_time(MINUTE)

    assert len(desk.jobs_of(entry)) == 2
    assert desk.fates(entry)[1] == (Fate.SKIPPED, Reason.OVERLAP)


@pytest.mark.spec("S1-35", "T15")
@pytest.mark.parametrize("how", ["killed", "gone"])
def test_who_dies_keeps_the_next_one_waiting_no_longer_than_its_node_is_waited_for(
    desk: Desk, how: str
) -> None:
    """Whether its program was killed or its node never returns: nobody has to unlock anything."""
    entry = desk.create(overlap=Overlap.SKIP, rule=Rule(every_s=HOUR.total_seconds()))
    desk.pass_time(HOUR)
    (job,) = desk.jobs_of(entry)
    desk.hand_over()
    desk.start(job.id)

    if how == "killed":
        desk.fail(job.id, reason=Reason.INTERRUPTED)
    for _ in range(30):  # a node that is silent is waited for for a day
        Reaper(desk.control.database, desk.clock, lambda: desk.clock() - 2 * HOUR).step()
        desk.pass_time(HOUR)

    assert desk.job(job.id).state is State.FAILED
    fates = [fate for fate, _ in desk.fates(entry)]
    assert fates.index(Fate.RAN, 1) in ({1} if how == "killed" else {24, 25, 26})


@pytest.mark.spec("S1-19")
def test_a_schedule_goes_on_however_its_jobs_end(desk: Desk) -> None:
    entry = desk.create()

    for number in range(4):
        desk.pass_time(MINUTE)
        job = desk.jobs_of(entry)[-1].id
        desk.hand_over()
        desk.start(job)
        desk.fail(job) if number % 2 else desk.say(make_reply(job))

    ends = [job.state for job in desk.jobs_of(entry)]
    assert ends == [State.SUCCEEDED, State.FAILED] * 2
    assert desk.entry(entry).document.enabled
    assert desk.entry(entry).next_at == desk.clock() + MINUTE


def test_the_previous_one_is_cancelled_where_that_is_wanted(desk: Desk) -> None:
    entry = desk.create(overlap=Overlap.CANCEL_PREVIOUS)

    desk.pass_time(MINUTE)
    desk.pass_time(MINUTE)

    first, second = desk.jobs_of(entry)
    assert first.state is State.CANCELLED
    assert (second.state, second.wait_reason) == (State.WAITING, WaitReason.OUTBOX)


def test_a_line_of_waiting_jobs_is_as_long_as_it_says(desk: Desk) -> None:
    entry = desk.create(overlap=Overlap.QUEUE_ALL, queue_limit=2)

    for _ in range(5):
        desk.pass_time(MINUTE)

    assert len(desk.jobs_of(entry)) == 3


@pytest.mark.spec("S2-16")
def test_nothing_comes_before_it_begins_or_after_it_ends(desk: Desk) -> None:
    entry = desk.create(active_from=NOW + 10 * MINUTE, active_till=NOW + 12 * MINUTE)

    desk.pass_time(9 * MINUTE)
    early = desk.jobs_of(entry)
    for _ in range(10):
        desk.pass_time(MINUTE)

    assert early == []
    assert len(desk.jobs_of(entry)) == 3
    assert desk.entry(entry).next_at is None


def test_it_ends_with_the_job_that_was_to_be_its_last(desk: Desk) -> None:
    entry = desk.create(max_jobs=2)

    for _ in range(4):
        desk.pass_time(MINUTE)

    assert len(desk.jobs_of(entry)) == 2
    assert desk.entry(entry).next_at is None


def test_an_occurrence_is_left_out_if_a_person_wants_so(desk: Desk) -> None:
    entry = desk.create()
    desk.control.schedules.skip_next("echo", **WHO)

    for _ in range(2):
        desk.pass_time(MINUTE)

    assert desk.fates(entry) == [(Fate.SKIPPED, Reason.SKIP_NEXT), (Fate.RAN, None)]


def test_what_is_disabled_makes_nothing_and_makes_up_for_nothing(desk: Desk) -> None:
    entry = desk.create()
    desk.control.schedules.enable("echo", enabled=False, **WHO)
    desk.pass_time(5 * MINUTE)

    desk.control.schedules.enable("echo", **WHO)
    desk.pass_time(timedelta())
    none = desk.jobs_of(entry)
    desk.pass_time(MINUTE)

    assert none == []
    assert len(desk.jobs_of(entry)) == 1


@pytest.mark.spec("S2-28")
def test_a_deleted_schedule_leaves_its_history_and_its_label(desk: Desk) -> None:
    entry = desk.create()
    desk.pass_time(MINUTE)

    desk.control.schedules.delete("echo", **WHO)
    desk.pass_time(MINUTE)
    again = desk.create()

    assert len(desk.jobs_of(entry)) == 1
    assert desk.entry(entry).ended_at == NOW + MINUTE
    assert again.id != entry.id


@pytest.mark.spec("S1-25")
def test_deleting_leaves_the_job_that_runs_unless_told_otherwise(desk: Desk) -> None:
    entry = desk.create()
    desk.pass_time(MINUTE)
    desk.control.schedules.delete("echo", **WHO)
    kept = desk.jobs_of(entry)

    other = desk.create()
    desk.pass_time(MINUTE)
    desk.control.schedules.delete("echo", cancel_running=True, **WHO)

    assert [job.state for job in kept] == [State.WAITING]
    assert [job.state for job in desk.jobs_of(other)] == [State.CANCELLED]


@pytest.mark.spec("S2-27")
def test_its_job_can_be_asked_for_at_once(desk: Desk) -> None:
    entry = desk.create(rule=Rule(cron="0 4 * * *"))
    before = desk.entry(entry).next_at

    job = desk.control.schedules.run_now("echo", seal=lambda r: KEY.seal(encode(r)), **WHO).job

    assert (job.schedule, job.state) == (entry.id, State.WAITING)
    assert desk.entry(entry).next_at == before


def test_a_job_that_cannot_be_accepted_is_a_job_that_failed(desk: Desk) -> None:
    """Nobody is there to be told no, so it is written down."""
    entry = desk.create()
    with desk.control.database.transaction() as connection:
        connection.execute(delete(nodes))

    desk.pass_time(MINUTE)

    (job,) = desk.jobs_of(entry)
    assert (job.state, job.reason) == (State.FAILED, Reason.INVALID)
    with desk.control.database.reading() as connection:
        (document,) = describe(connection, [job])
    assert document.why == "no such node: web1"


def test_whether_its_owner_may_still_is_seen_when_it_is_handed_over(desk: Desk) -> None:
    """Each occurrence becomes a job all the same, so that a person finds it."""
    entry = desk.create()
    with desk.control.database.transaction() as connection:
        set_account(connection, "bob", disabled_at=NOW)

    desk.pass_time(MINUTE)

    (job,) = desk.jobs_of(entry)
    assert job.state is State.WAITING


@pytest.mark.spec("S2-35")
def test_what_is_wrong_is_refused_and_not_kept(desk: Desk) -> None:
    desk.create()
    wrong: list[tuple[type[Exception], dict[str, Any]]] = [
        (Conflict, {}),
        (InvalidSchedule, {"label": "b", "rule": Rule(cron="61 * * * *")}),
        (InvalidSchedule, {"label": "b", "active_till": NOW - MINUTE}),
        (InvalidSchedule, {"label": "b", "work": Work()}),
        (UnknownAction, {"label": "b", "work": Work(call=Call(agent="demo", action="no"))}),
    ]

    for error, changes in wrong:
        with pytest.raises(error):
            desk.create(**changes)

    with desk.control.database.reading() as connection, pytest.raises(NotFound):
        get_entry(connection, "b", org=ORG)


@pytest.mark.spec("S2-10")
def test_another_org_does_not_find_it(desk: Desk) -> None:
    entry = desk.create()

    for name in (entry.id, entry.label):
        with pytest.raises(NotFound):
            desk.control.schedules.delete(name, org="other", account="eve")


def test_a_change_of_what_was_not_seen_is_refused(desk: Desk) -> None:
    entry = desk.create()
    other = msgspec.structs.replace(entry.document, rule=Rule(every_s=120))
    desk.control.schedules.change("echo", other, version=1, **WHO)

    with pytest.raises(Outdated):
        desk.control.schedules.change("echo", entry.document, version=1, **WHO)

    assert desk.entry(entry).next_at == NOW + 2 * MINUTE


@pytest.mark.spec("S2-03")
def test_the_preview_is_what_comes(desk: Desk) -> None:
    rule = Rule(cron="*/7 * * * *", zone="Europe/Prague")
    entry = desk.create(rule=rule)
    foreseen = Outlooks(desk.control.schedules).preview(entry, 5)

    for _ in range(40):
        desk.pass_time(MINUTE)

    with desk.control.database.reading() as connection:
        found = [item.at for item in list_occurrences(connection, entry.id, limit=99)]
    assert sorted(found)[:5] == foreseen


def test_a_plan_recurs_with_all_its_legs(desk: Desk) -> None:
    legs = (
        Leg(key="first", agent="demo", action="echo", data={"text": "1"}),
        Leg(
            key="second",
            agent="demo",
            action="echo",
            data={"text": "${legs.first.statusmsg}"},
            needs=(Need(leg="first"),),
        ),
    )
    plan = Plan(name="two", target=Target(identities=("web1",)), legs=legs)
    entry = desk.create(work=Work(plan=plan), overlap=Overlap.QUEUE_ONE)

    desk.pass_time(MINUTE)
    desk.pass_time(MINUTE)

    (job,) = desk.jobs_of(entry)
    assert (job.kind, job.action, job.occurrence) == (Kind.PLAN, "two", 1)
    with desk.control.database.reading() as connection:
        found = list_legs(connection, job, limit=10)
    assert [leg.leg for leg in found.items] == ["first", "second"]
    assert desk.fates(entry) == [(Fate.RAN, None), (Fate.SKIPPED, Reason.OVERLAP)]


@pytest.mark.parametrize("overlap", [Overlap.QUEUE_ALL, Overlap.CANCEL_PREVIOUS])
def test_what_a_plan_cannot_do_is_refused_by_name(desk: Desk, overlap: Overlap) -> None:
    plan = Plan(legs=(Leg(key="a", agent="demo", action="echo", data={"text": "1"}),))

    with pytest.raises(InvalidSchedule, match=overlap):
        desk.create(work=Work(plan=plan), overlap=overlap)
