"""Events, by the page; as a stream they are tested with a real server."""

import pytest
from starlette.testclient import TestClient

from fleetjobs.states import State
from tests.api_house import NODES, House
from tests.unit.api.conftest import Submit


@pytest.mark.spec("S1-07")
def test_a_jobs_events_tell_its_whole_life(house: House, ann: TestClient, submit: Submit) -> None:
    """In order, with actor, from, to and reason; an event that ends a run brings the run."""
    job = submit(["web1"])
    house.reply(job["id"], "web1", state=State.FAILED, statuscode=1, statusmsg="broken")

    events = ann.get(f"/api/v1/jobs/{job['id']}/events").json()["items"]

    assert [event["seq"] for event in events] == sorted(event["seq"] for event in events)
    assert (events[0]["kind"], events[0]["actor"]) == ("job.accepted", "account:ann")
    ended = next(event for event in events if event["kind"] == "run.failed")
    assert (ended["old"], ended["new"], ended["actor"]) == ("running", "failed", "node:web1")
    assert (ended["run"]["statuscode"], ended["run"]["statusmsg"]) == (1, "broken")
    assert [event["kind"] for event in events if event["run"]] == ["run.failed"]
    assert events[-1]["kind"] == "job.failed"


def test_pages_of_events_go_on_by_seq(house: House, ann: TestClient, submit: Submit) -> None:
    """Nothing is lost or repeated between pages."""
    job = submit()
    house.reply(job["id"], *NODES)
    path = f"/api/v1/jobs/{job['id']}/events"
    everything = ann.get(path).json()["items"]

    pieces, after = [], "0"
    while after is not None:
        page = ann.get(path, params={"limit": 4, "after": after}).json()
        pieces += page["items"]
        after = page["next"]

    assert pieces == everything


def test_kinds_choose(house: House, ann: TestClient, submit: Submit) -> None:
    """Whole kinds, or their beginnings."""
    job = submit()
    house.reply(job["id"], *NODES)

    def kinds(kind: str) -> set[str]:
        items = ann.get("/api/v1/events", params={"kind": kind}).json()["items"]
        return {event["kind"] for event in items}

    assert kinds("run.succeeded") == {"run.succeeded"}
    assert kinds("run.") == {"run.queued", "run.running", "run.succeeded"}
    assert kinds("run.succeeded,job.accepted") == {"run.succeeded", "job.accepted"}


@pytest.mark.parametrize("last", ["x", "-1", "9" * 30, "\u0661"])
def test_an_id_that_is_no_events_is_refused(ann: TestClient, submit: Submit, last: str) -> None:
    """Last-Event-ID comes from outside."""
    job = submit()

    answer = ann.get(
        f"/api/v1/jobs/{job['id']}/events",
        headers={b"Accept": b"text/event-stream", b"Last-Event-ID": last.encode()},
    )

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")
