"""Edits: an accepted job is asked for anew, as long as it has not begun."""

import contextlib
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest

from fleetjobs.control import edits
from fleetjobs.control.jobs import Control
from fleetjobs.documents import decode
from fleetjobs.errors import Conflict, InvalidInput, NotFound, Outdated
from fleetjobs.jobs import Pending
from fleetjobs.messages import Verb
from fleetjobs.requests import After, Request
from fleetjobs.signing import peek
from fleetjobs.states import State
from fleetjobs.store.database import Database
from fleetjobs.store.dependencies import leads_to
from fleetjobs.store.handovers import runs_to_dispatch
from fleetjobs.store.standing import DELIVER_AHEAD
from fleetjobs.targets import Target
from tests.desk import Desk
from tests.makers import NOW, Clock, enroll, make_reply, make_request

HOUR = timedelta(hours=1)
WEB2 = Target(identities=("web2",))


@pytest.fixture
def desk(database: Database) -> Desk:
    """A desk with three nodes behind it."""
    enroll(database, "web1", "web2", "web3")
    clock = Clock()
    return Desk(Control(database, clock), clock)


def handed(desk: Desk) -> list[Request]:
    """What the next nodes are handed."""
    with desk.control.database.reading() as connection:
        due = runs_to_dispatch(connection, desk.clock(), 100)
    desk.hand_over()
    return [decode(Request, peek(item.sealed)) for item in due]


@pytest.mark.spec("S1-22")
def test_a_job_can_be_moved_to_another_time(desk: Desk) -> None:
    job = desk.submit("web1", not_before=NOW + 5 * HOUR)

    edited = desk.edit(job, not_before=NOW + 9 * HOUR)

    assert (edited.state, edited.version) == (State.SCHEDULED, 2)
    assert edited.not_before == NOW + 9 * HOUR
    desk.later(5 * HOUR)
    assert handed(desk) == []
    desk.later(4 * HOUR - DELIVER_AHEAD)
    assert [request.not_before for request in handed(desk)] == [NOW + 9 * HOUR]


@pytest.mark.spec("S0-05")
def test_data_of_what_waits_is_changed_at_once(desk: Desk) -> None:
    job = desk.submit("web1", not_before=NOW + 5 * HOUR)

    edited = desk.edit(job, data={"text": "b", "password": "c"})

    assert edited.data == {"text": "b", "password": "***"}
    desk.later(5 * HOUR)
    assert [request.data["text"] for request in handed(desk)] == ["b"]
    assert "job.edited" in desk.kinds(job)


@pytest.mark.spec("S0-05")
def test_what_a_node_has_is_changed_when_it_gives_it_back(desk: Desk) -> None:
    job = desk.submit("web1")
    desk.hand_over()

    edited = desk.edit(job, data={"text": "b"})

    assert (edited.data, edited.version) == ({"text": "a"}, 2)
    assert desk.run(job).pending is Pending.EDIT
    assert desk.obey() == [Verb.WITHDRAW]
    assert desk.job(job).data == {"text": "b"}
    assert [request.data for request in handed(desk)] == [{"text": "b"}]
    assert desk.run(job).generation == 2


def test_what_began_before_the_edit_arrived_stays_as_it_was(desk: Desk) -> None:
    job = desk.submit("web1")
    desk.hand_over()
    desk.edit(job, data={"text": "b"})

    desk.start(job)

    assert desk.job(job).data == {"text": "a"}
    assert desk.run(job).pending is None
    assert {"run.edit_too_late", "job.edit_too_late"} <= set(desk.kinds(job))
    desk.say(make_reply(job))
    assert desk.job(job).state is State.SUCCEEDED


@pytest.mark.spec("S1-22")
@pytest.mark.parametrize("ended", [False, True])
def test_what_has_begun_cannot_be_changed(desk: Desk, ended: bool) -> None:  # noqa: FBT001  a case
    job = desk.submit("web1")
    desk.hand_over()
    desk.start(job)
    if ended:
        desk.say(make_reply(job))

    with pytest.raises(Conflict):
        desk.edit(job, data={"text": "b"})


def test_an_edit_of_what_has_changed_meanwhile_is_refused(desk: Desk) -> None:
    job = desk.submit("web1", not_before=NOW + 5 * HOUR)
    desk.edit(job, data={"text": "b"})

    with pytest.raises(Outdated):
        desk.edit(job, version=1, data={"text": "c"})

    assert desk.job(job).data == {"text": "b"}


def test_an_edit_is_weighed_as_a_request_is(desk: Desk) -> None:
    job = desk.submit("web1", not_before=NOW + 5 * HOUR)

    with pytest.raises(InvalidInput):
        desk.edit(job, data={"text": 1})
    with pytest.raises(Conflict, match="another action"):
        desk.edit(job, action="echo2")
    with pytest.raises(NotFound):
        desk.control.edits.request(make_request().id, org="acme")


def test_another_target_adds_and_removes_nodes(desk: Desk) -> None:
    job = desk.submit("web1", "web2", not_before=NOW + 5 * HOUR)

    edited = desk.edit(job, target=Target(identities=("web2", "web3")))

    states = {run.node: run.state for run in desk.runs(job)}
    assert states["web1"] is State.CANCELLED
    assert (states["web2"], states["web3"]) == (State.SCHEDULED, State.SCHEDULED)
    assert edited.tally.total() == 3
    desk.later(5 * HOUR)
    assert [node for _, node, _, _ in desk.hand_over()] == ["web2", "web3"]


def test_an_edit_may_not_make_a_job_wait_for_itself(desk: Desk) -> None:
    first = desk.submit("web1", not_before=NOW + 5 * HOUR)
    second = desk.submit("web2", after=(After(job=first),))

    for job in (first, second):
        with pytest.raises(Conflict, match="itself"):
            desk.edit(first, after=(After(job=job),))


def test_an_edit_that_a_node_has_to_agree_to_counts_as_made(desk: Desk) -> None:
    """Or both would be agreed to, and wait for one another."""
    first, second = desk.submit("web1"), desk.submit("web2")
    desk.hand_over()
    desk.edit(first, after=(After(job=second),))

    with pytest.raises(Conflict, match="itself"):
        desk.edit(second, after=(After(job=first),))


def test_of_two_edits_at_a_time_that_would_close_a_circle_one_is_refused(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them locks two of the four jobs, and none that the other has."""
    first = desk.submit("web1", not_before=NOW + 5 * HOUR)
    second = desk.submit("web1", after=(After(job=first),))
    third = desk.submit("web1", not_before=NOW + 5 * HOUR)
    fourth = desk.submit("web1", after=(After(job=third),))
    both = Barrier(2)

    def look(*about: Any) -> bool:
        found = leads_to(*about)
        with contextlib.suppress(BrokenBarrierError):
            both.wait(0.5)  # the other looks now, or is kept waiting until we have ended
        return found

    monkeypatch.setattr(edits, "leads_to", look)
    with ThreadPoolExecutor(2) as pool:
        wishes = [(first, fourth), (third, second)]
        asked = [pool.submit(desk.edit, job, after=(After(job=on),)) for job, on in wishes]
        refused = [edit.exception() for edit in asked if edit.exception() is not None]

    assert [str(error).partition(" ")[2] for error in refused] == ["would wait for itself"]


def test_an_edit_may_take_a_dependency_away(desk: Desk) -> None:
    first = desk.submit("web1", not_before=NOW + 5 * HOUR)
    second = desk.submit("web2", after=(After(job=first),))
    assert desk.hand_over() == []

    desk.edit(second, after=())

    assert [job for job, *_ in desk.hand_over()] == [second]
