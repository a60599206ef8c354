"""Jobs: kept once, found by their org, listed in pages."""

from datetime import timedelta

import pytest

from fleetjobs.errors import InvalidDocument
from fleetjobs.names import JobId, NodeId
from fleetjobs.states import State, WaitReason
from fleetjobs.store.accepting import insert_job
from fleetjobs.store.database import Database
from fleetjobs.store.events import list_events
from fleetjobs.store.jobs import JobFilter, get_job, list_jobs
from fleetjobs.store.runs import get_run, get_runs, list_runs
from fleetjobs.targets import Target
from tests.makers import NOW, ORG, add_org, keep_job, new_id


def ids(database: Database, wanted: JobFilter, **how: object) -> list[JobId]:
    """The ids of the jobs that are listed."""
    with database.reading() as connection:
        page = list_jobs(connection, wanted, limit=10, **how)  # type: ignore[arg-type]
        return [job.id for job in page.items]


def test_a_job_comes_back_as_it_was_kept(database: Database) -> None:
    target = Target(identities=("web1",), limit="10%", seed=3)
    job = keep_job(database, "web1", "web2", data={"n": [1, {"ü": None}]}, target=target)

    with database.reading() as connection:
        assert get_job(connection, job.id, org=ORG) == job
        assert get_job(connection, job.id, org=None) == job


def test_a_new_job_has_a_run_on_each_node(database: Database) -> None:
    job = keep_job(database, "web2", "web1")

    with database.reading() as connection:
        runs = list_runs(connection, job.id, limit=10).items
    assert [run.node for run in runs] == ["web1", "web2"]
    assert {(run.state, run.wait_reason, run.attempt) for run in runs} == {
        (State.WAITING, WaitReason.OUTBOX, 1)
    }


def test_a_new_job_is_logged(database: Database) -> None:
    job = keep_job(database, "web1")

    with database.reading() as connection:
        (event,) = list_events(connection, org=ORG, job=job.id, limit=10)
    assert (event.kind, event.actor, event.new) == ("job.accepted", "account:alice", State.WAITING)
    assert event.detail == {"nodes": 1}


def test_an_id_is_taken_once(database: Database) -> None:
    job = keep_job(database, "web1")

    with database.transaction() as connection:
        again = insert_job(connection, job, [NodeId("web2")], meaning="m", dispatch_at=NOW)

    assert not again
    with database.reading() as connection:
        assert get_run(connection, job.id, NodeId("web2")) is None


@pytest.mark.spec("G9")
def test_another_org_sees_nothing_of_a_job(database: Database) -> None:
    add_org(database, "other")
    job = keep_job(database, "web1")

    with database.reading() as connection:
        assert get_job(connection, job.id, org="other") is None
        assert list_events(connection, org="other", limit=10) == []
    assert ids(database, JobFilter(org="other")) == []


def test_jobs_are_listed_newest_first(database: Database) -> None:
    made = [keep_job(database, "web1", created_at=NOW + timedelta(seconds=n)).id for n in range(3)]

    assert ids(database, JobFilter(org=ORG)) == made[::-1]
    assert ids(database, JobFilter(org=ORG), descending=False) == made


@pytest.mark.parametrize("descending", [True, False])
def test_pages_hold_every_job_once_even_those_of_one_moment(
    database: Database,
    *,
    descending: bool,
) -> None:
    made = {keep_job(database, "web1").id for _ in range(7)}
    found: list[JobId] = []
    cursor = None

    while True:
        with database.reading() as connection:
            page = list_jobs(
                connection, JobFilter(org=ORG), cursor=cursor, limit=3, descending=descending
            )
        found += [job.id for job in page.items]
        cursor = page.next
        if cursor is None:
            break

    assert len(found) == 7
    assert set(found) == made


def test_pages_of_several_states_keep_the_order_of_time(database: Database) -> None:
    states = [State.WAITING, State.SCHEDULED, State.PAUSED]
    made = [
        keep_job(
            database, "web1", state=states[number % 3], created_at=NOW + timedelta(seconds=number)
        ).id
        for number in range(6)
    ]
    wanted = JobFilter(org=ORG, states=[State.WAITING, State.SCHEDULED, State.WAITING])

    with database.reading() as connection:
        first = list_jobs(connection, wanted, limit=3)
        second = list_jobs(connection, wanted, cursor=first.next, limit=3)

    found = [job.id for job in first.items + second.items]
    assert found == [made[4], made[3], made[1], made[0]]
    assert second.next is None


@pytest.mark.parametrize("cursor", ["", "x", "20260101T000000.000000~x", "\0~\0"])
def test_a_cursor_we_did_not_give_is_refused(database: Database, cursor: str) -> None:
    with database.reading() as connection, pytest.raises(InvalidDocument):
        list_jobs(connection, JobFilter(), cursor=cursor, limit=1)


def test_filters_narrow_the_list(database: Database) -> None:
    later = NOW + timedelta(hours=1)
    one = keep_job(database, "web1").id
    two = keep_job(
        database,
        "web2",
        agent="package",
        action="update",
        caller="bob",
        created_at=later,
        attention=True,
        state=State.SCHEDULED,
    ).id

    assert ids(database, JobFilter(agent="package")) == [two]
    assert ids(database, JobFilter(action="echo")) == [one]
    assert ids(database, JobFilter(caller="bob")) == [two]
    assert ids(database, JobFilter(node=NodeId("web1"))) == [one]
    assert ids(database, JobFilter(ids=[one, new_id()])) == [one]
    assert ids(database, JobFilter(since=later)) == [two]
    assert ids(database, JobFilter(until=later)) == [one]
    assert ids(database, JobFilter(attention=True)) == [two]
    assert ids(database, JobFilter(attention=False)) == [one]
    assert ids(database, JobFilter(states=[State.SCHEDULED, State.RUNNING])) == [two]
    assert ids(database, JobFilter(agent="demo", caller="bob")) == []


def test_runs_are_listed_in_pages(database: Database) -> None:
    job = keep_job(database, "a", "b", "c").id

    with database.reading() as connection:
        first = list_runs(connection, job, limit=2)
        second = list_runs(connection, job, cursor=first.next, limit=2)
        none = list_runs(connection, job, states=[State.FAILED], limit=2)
        chosen = get_runs(connection, [(job, NodeId("a")), (job, NodeId("z"))])

    assert [run.node for run in first.items] == ["a", "b"]
    assert [run.node for run in second.items] == ["c"]
    assert (second.next, none.items, list(chosen)) == (None, [], [(job, "a")])


def test_events_are_chosen_by_kind_and_place(database: Database) -> None:
    keep_job(database, "a")
    keep_job(database, "a")

    with database.reading() as connection:
        both = list_events(connection, org=ORG, limit=10, kinds=["job."])
        rest = list_events(connection, org=ORG, limit=10, after=both[0].seq, kinds=["job.accepted"])
        none = list_events(connection, org=ORG, limit=10, kinds=["run.", "job"])

    assert len(both) == 2
    assert rest == both[1:]
    assert none == []
