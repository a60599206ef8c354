"""Control: a request becomes one job, or is refused with a reason; on both databases."""

import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import pytest

from fleetjobs.control.acceptance import START_WITHIN
from fleetjobs.control.jobs import Control, Submission
from fleetjobs.control.limits import Limits
from fleetjobs.errors import (
    Conflict,
    Denied,
    InvalidInput,
    InvalidTime,
    MissingInput,
    NoNodes,
    QueueFull,
    Refused,
    UnknownAction,
    UnknownAgent,
)
from fleetjobs.messages import Inventory
from fleetjobs.names import JobId
from fleetjobs.requests import Request
from fleetjobs.states import State, WaitReason
from fleetjobs.store.bells import CHANGES, DISPATCH, NEW
from fleetjobs.store.database import Database
from fleetjobs.store.handovers import runs_to_dispatch
from fleetjobs.store.jobs import JobFilter, get_job, list_jobs
from fleetjobs.store.nodes import save_beats
from fleetjobs.store.runs import list_runs
from fleetjobs.store.standing import DELIVER_AHEAD
from fleetjobs.targets import Target
from tests.makers import NOW, ORG, Clock, add_org, demo_interface, enroll, make_beat, make_request


@pytest.fixture
def control(database: Database) -> Control:
    """A desk with three nodes behind it, of which db1 has no agent."""
    enroll(database, "web1", "web2", "db1")
    with database.transaction() as connection:
        save_beats(connection, [make_beat("db1", inventory=Inventory(facts={"os": "bsd"}))], NOW)
    return Control(database, Clock())


def submit(control: Control, request: Request, sealed: str = "sealed") -> Submission:
    """Hand the request in."""
    return control.submit(sealed, request, org=ORG)


def test_a_job_knows_whether_its_nodes_act_on_it_inline(control: Control) -> None:
    document = demo_interface("2.0.0")
    document["fleetjobs"]["actions"]["echo"]["inline"] = True
    inventory = Inventory(facts={}, interfaces={"demo": document})
    with control.database.transaction() as connection:
        save_beats(connection, [make_beat("web1", inventory=inventory)], NOW)

    on_one = submit(control, make_request(target=Target(identities=("web1",))))
    on_both = submit(control, make_request())

    assert (on_one.job.inline, on_both.job.inline) == (True, False)


def nodes_of(control: Control, submission: Submission) -> list[str]:
    """Where the job has runs."""
    with control.database.reading() as connection:
        return [run.node for run in list_runs(connection, submission.job.id, limit=10).items]


def all_jobs(control: Control) -> Sequence[object]:
    """Every job there is."""
    with control.database.reading() as connection:
        return list_jobs(connection, JobFilter(), limit=100).items


@pytest.mark.spec("S1-01")
def test_a_request_becomes_a_job_before_its_id_is_given(control: Control) -> None:
    submission = submit(control, make_request())

    job = submission.job
    assert submission.created
    assert (job.state, job.wait_reason) == (State.WAITING, WaitReason.OUTBOX)
    assert (job.created_at, job.start_before) == (NOW, NOW + START_WITHIN)
    assert nodes_of(control, submission) == ["web1", "web2"]
    with control.database.reading() as connection:
        assert get_job(connection, job.id, org=ORG) == job


def test_a_new_job_rings(control: Control) -> None:
    """Who follows the job itself, because they asked for it, need not look at once."""
    listener = control.database.listen(DISPATCH, CHANGES)

    submit(control, make_request())

    heard: list[str] = []
    while len(heard) < 2:
        heard += listener.wait(5.0) or pytest.fail("no bell")
    assert sorted(heard) == ["", NEW]
    listener.close()


def test_the_same_request_again_is_the_same_job(control: Control) -> None:
    """Whoever got no answer asks again; by then it may be sealed anew, and the fleet changed."""
    request = make_request(data={"text": "a", "password": "b"})
    first = submit(control, request)
    enroll(control.database, "web3")

    again = make_request(
        id=request.id, data={"password": "b", "text": "a"}, created_at=datetime.now(UTC)
    )
    second = submit(control, again, sealed="sealed anew")

    assert not second.created
    assert second.job == first.job
    assert nodes_of(control, first) == ["web1", "web2"]


def test_an_id_stands_for_one_wish(control: Control) -> None:
    request = make_request()
    submit(control, request)

    with pytest.raises(Conflict):
        submit(control, make_request(id=request.id, data={"text": "b"}))


def test_the_id_of_another_orgs_job_says_nothing_of_it(control: Control) -> None:
    add_org(control.database, "other")
    request = make_request()
    submit(control, request)

    with pytest.raises(Conflict, match=f"^the id {request.id} was used before") as refused:
        control.submit("x", make_request(id=request.id, org="other"), org="other")

    assert ORG not in str(refused.value)


@pytest.mark.spec("S1-04")
def test_one_request_handed_in_many_times_at_once_is_one_job(control: Control) -> None:
    request = make_request()

    with ThreadPoolExecutor(4) as pool:
        submissions = list(pool.map(lambda _: submit(control, request), range(8)))

    assert [submission.created for submission in submissions].count(True) == 1
    assert len({submission.job.id for submission in submissions}) == 1
    assert len(all_jobs(control)) == 1


def test_secrets_are_masked_in_the_job(control: Control) -> None:
    submission = submit(control, make_request(data={"text": "a", "password": "hunter2"}))

    assert submission.job.data == {"text": "a", "password": "***"}


def test_a_job_for_later_waits_for_its_time(control: Control) -> None:
    at = NOW + DELIVER_AHEAD + timedelta(hours=1)
    job = submit(control, make_request(not_before=at)).job

    assert (job.state, job.wait_reason) == (State.SCHEDULED, None)
    assert job.start_before == at + START_WITHIN
    with control.database.reading() as connection:
        assert runs_to_dispatch(connection, at - DELIVER_AHEAD - timedelta(seconds=1), 9) == []
        assert len(runs_to_dispatch(connection, at - DELIVER_AHEAD, 9)) == 2


def test_times_are_kept_in_utc(control: Control) -> None:
    rome = timezone(timedelta(hours=1))
    at = (NOW + timedelta(hours=3)).astimezone(rome)

    job = submit(control, make_request(not_before=at)).job

    assert job.not_before == at
    assert job.not_before is not None
    assert job.not_before.tzinfo is UTC


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"agent": "nothing"}, UnknownAgent, "nothing"),
        ({"action": "shout"}, UnknownAction, "echo"),
        ({"data": {}}, MissingInput, "text"),
        ({"data": {"text": 1}}, InvalidInput, "text"),
        ({"data": {"text": "a", "more": "b"}}, InvalidInput, "more"),
        ({"target": Target(identities=("web9",))}, NoNodes, "web9"),
        ({"target": Target(identities=("WEB1",))}, NoNodes, "web1"),
        ({"target": Target(facts=("os=plan9",))}, NoNodes, "picks none"),
        ({"target": Target(identities=("web1", "db1"))}, UnknownAgent, "db1"),
        ({"target": Target(org="other")}, Denied, ORG),
        ({"org": "other"}, Denied, ORG),
        ({"start_before": NOW}, InvalidTime, "start_before"),
        (
            {"not_before": NOW + timedelta(days=2), "start_before": NOW + timedelta(days=1)},
            InvalidTime,
            "start_before",
        ),
        ({"not_before": datetime(9999, 12, 31, tzinfo=UTC)}, InvalidTime, "not_before"),
        (
            {"start_before": datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))},
            InvalidTime,
            "start_before",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_reason(
    control: Control, changes: dict[str, object], error: type[Refused], says: str
) -> None:
    with pytest.raises(error, match=says):
        submit(control, make_request(**changes))

    assert all_jobs(control) == []


@pytest.mark.parametrize(
    ("target", "nodes"),
    [
        (Target(identities=("web2",)), ["web2"]),
        (Target(identities=("/^web/",)), ["web1", "web2"]),
        (Target(facts=("os=debian",)), ["web1", "web2"]),
        (Target(compound="os=debian and not db"), ["web1", "web2"]),
        (Target(limit="1"), ["web1"]),
        (Target(org=ORG), ["web1", "web2"]),
    ],
)
def test_a_target_picks_among_the_nodes_with_the_agent(
    control: Control, target: Target, nodes: list[str]
) -> None:
    assert nodes_of(control, submit(control, make_request(target=target))) == nodes


def test_the_data_has_to_fit_the_interface_of_every_node_picked(control: Control) -> None:
    """While an agent is being upgraded, old and new interfaces are about."""
    newer = demo_interface("2.0.0")
    newer["actions"][0]["input"]["text"]["maxlength"] = 3
    with control.database.transaction() as connection:
        inventory = Inventory(facts={}, interfaces={"demo": newer})
        save_beats(connection, [make_beat("web2", inventory=inventory)], NOW)
    long = {"text": "abcd"}

    with pytest.raises(InvalidInput):
        submit(control, make_request(data=long))
    assert submit(control, make_request(data=long, target=Target(identities=("web1",)))).created


@pytest.mark.spec("S4-24")
def test_a_node_with_too_much_to_do_is_given_no_more(control: Control) -> None:
    """And all is refused or none: nothing is kept of a job for a full and a free node."""
    narrow = dataclasses.replace(control, limits=Limits(runs_per_node=5))
    one = Target(identities=("web1",))
    taken = [submit(narrow, make_request(target=one)) for _ in range(5)]
    more = make_request()

    with pytest.raises(QueueFull, match="web1 has 5 runs"):
        submit(narrow, more)

    with control.database.reading() as connection:
        assert get_job(connection, JobId(more.id), org=ORG) is None
    assert submit(narrow, make_request(target=Target(identities=("web2",)))).created
    narrow.verbs.cancel(taken[0].job.id, org=ORG, account="alice")
    assert submit(narrow, more).created
    assert not submit(narrow, more).created  # what was accepted is not counted again


@pytest.mark.spec("S4-24")
def test_an_org_with_too_many_live_jobs_is_given_no_more(database: Database) -> None:
    add_org(database, "crowded")
    enroll(database, "n1", org="crowded")
    crowded = Control(database, Clock(), Limits(jobs_per_org=2))

    def ask() -> Submission:
        return crowded.submit("sealed", make_request(org="crowded"), org="crowded")

    first = ask()
    ask()
    with pytest.raises(QueueFull, match="crowded has 2 jobs"):
        ask()

    crowded.verbs.cancel(first.job.id, org="crowded", account="alice")
    assert ask().created


def test_no_limit_is_none(control: Control) -> None:
    endless = dataclasses.replace(control, limits=Limits(runs_per_node=0, jobs_per_org=0))

    assert submit(endless, make_request()).created
