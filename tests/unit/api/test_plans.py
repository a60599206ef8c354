"""Plans over HTTP: handed in, tried out, looked at leg by leg."""

import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient
from uuid_utils import uuid7

from fleetjobs.api.job_documents import JobDocument
from fleetjobs.api.views import pep3
from fleetjobs.documents import encode
from fleetjobs.plans.documents import Leg, Plan, PlanRequest
from fleetjobs.states import State
from tests.api_house import House


def leg(key: str, *nodes: str, **more: Any) -> dict[str, Any]:
    """A leg of rpcutil.ping."""
    target = {"target": {"identities": nodes}} if nodes else {}
    return {"key": key, "agent": "rpcutil", "action": "ping", **target, **more}


CHAIN = [leg("first", "web1"), leg("second", "web1", needs=[{"leg": "first"}])]


def hand_in(client: TestClient, *legs: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The plan of these legs."""
    answer = client.post("/api/v1/plans", json={"plan": {"legs": legs}, **more})
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


def legs_of(client: TestClient, plan: dict[str, Any], **query: Any) -> list[dict[str, Any]]:
    """Its legs, a page of them."""
    found: list[dict[str, Any]] = client.get(
        f"/api/v1/jobs/{plan['id']}/legs", params=query
    ).json()["items"]
    return found


@pytest.mark.spec("S4-05", "S4-22")
def test_a_plan_is_a_job_and_so_are_its_legs(house: House, ann: TestClient) -> None:
    answer = ann.post("/api/v1/plans", json={"plan": {"name": "two", "legs": CHAIN}})

    plan = answer.json()
    assert answer.headers["Location"] == f"/api/v1/jobs/{plan['id']}"
    assert (plan["kind"], plan["action"], plan["parts"], plan["nodes"]) == ("plan", "two", 2, 0)
    assert (plan["percent_complete"], plan["elaborated"]) == (None, False)
    first, second = legs_of(ann, plan)
    assert (first["key"], first["state"], first["wait_reason"]) == ("first", "waiting", "outbox")
    assert (second["wait_reason"], second["group"], second["kind"]) == (
        "dependency",
        None,
        "action",
    )
    assert second["needs"] == [
        {"leg": "first", "job": first["id"], "when": "succeeded", "pace": "node"}
    ]
    found = ann.get(f"/api/v1/jobs/{second['id']}").json()
    assert (found["plan"], found["parent"], found["leg"]) == (plan["id"], plan["id"], "second")
    house.reply(first["id"], "web1")
    begun = ann.get(f"/api/v1/jobs/{plan['id']}").json()
    assert (begun["percent_complete"], begun["elaborated"]) == (50.0, True)
    assert begun["children"] == [first["id"], second["id"]]


def test_lists_show_plans_and_not_their_legs_unless_asked(ann: TestClient) -> None:
    plan = hand_in(ann, *CHAIN)

    everything = ann.get("/api/v1/jobs").json()["items"]
    inside = ann.get("/api/v1/jobs", params={"parent": plan["id"]}).json()["items"]
    plans = ann.get("/api/v1/jobs", params={"kind": "plan"}).json()["items"]

    assert [job["id"] for job in everything] == [plan["id"]]
    assert {job["leg"] for job in inside} == {"first", "second"}
    assert [job["id"] for job in plans] == [plan["id"]]


def test_legs_come_page_by_page_with_their_groups_before_them(ann: TestClient) -> None:
    plan = {
        "groups": [{"key": "heads"}],
        "legs": [
            leg("a", "web1", group="heads"),
            leg("b", "web2", group="heads"),
            leg("body", "web3", needs=[{"leg": "heads"}]),
        ],
    }
    made = ann.post("/api/v1/plans", json={"plan": plan}).json()

    where = f"/api/v1/jobs/{made['id']}/legs"
    page = ann.get(where, params={"limit": 3}).json()
    rest = ann.get(where, params={"limit": 3, "cursor": page["next"]}).json()

    items = [*page["items"], *rest["items"]]
    assert [(item["key"], item["group"]) for item in items] == [
        ("heads", None),
        ("a", "heads"),
        ("b", "heads"),
        ("body", None),
    ]
    assert [len(page["items"]), rest["next"]] == [3, None]
    assert [item["key"] for item in legs_of(ann, items[0])] == ["a", "b"]
    assert items[-1]["needs"][0]["pace"] == "barrier"


def test_a_plan_can_be_signed_by_its_caller(house: House, ann: TestClient) -> None:
    request = PlanRequest(
        id=str(uuid7()),
        org="acme",
        caller="ann",
        plan=Plan(legs=(Leg(key="only", agent="rpcutil", action="ping"),)),
        created_at=datetime.now(UTC),
    )
    body = house.key.seal(encode(request))
    jose = {"Content-Type": "application/jose"}

    first = ann.post("/api/v1/plans", content=body, headers=jose)
    again = ann.post("/api/v1/plans", content=body, headers=jose)

    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json()["id"] == again.json()["id"] == request.id


def test_the_same_key_is_the_same_plan_and_another_wish_is_a_conflict(ann: TestClient) -> None:
    key = {"Idempotency-Key": "monday"}

    first = ann.post("/api/v1/plans", json={"plan": {"legs": CHAIN}}, headers=key)
    again = ann.post("/api/v1/plans", json={"plan": {"legs": CHAIN}}, headers=key)
    other = ann.post("/api/v1/plans", json={"plan": {"legs": CHAIN[:1]}}, headers=key)

    assert (first.json()["id"], again.status_code) == (again.json()["id"], 200)
    assert (other.status_code, other.json()["code"]) == (409, "conflict")


@pytest.mark.parametrize(
    ("legs", "code", "words"),
    [
        ([leg("a", needs=[{"leg": "b"}])], "invalid_plan", "'b', which does not exist"),
        (
            [leg("a", needs=[{"leg": "b"}]), leg("b", needs=[{"leg": "a"}])],
            "invalid_plan",
            "in a circle: a waits for b waits for a",
        ),
        (
            [leg("a", data={"x": "${legs.b.node}"})],
            "invalid_plan",
            "names 'b', a leg that does not exist",
        ),
        ([leg("a", "web1"), leg("a", "web2")], "invalid_plan", "a is there twice"),
        ([leg("a", data={"x": 1})], "invalid_input", "leg a: rpcutil.ping has no input 'x'"),
        ([leg("a", "nobody")], "no_nodes", "leg a:"),
        ([leg("a") | {"action": "pong"}], "unknown_action", "leg a:"),
        ([leg("a", retry_mode="rollback_self")], "invalid_plan", "leg a: rollback_self: nothing"),
        ([leg("a", rollout={"batch": "0"})], "invalid_rollout", "the batch of a is 0"),
    ],
)
def test_a_plan_is_refused_whole_and_the_leg_is_named(
    ann: TestClient, legs: list[dict[str, Any]], code: str, words: str
) -> None:
    for where in ("/api/v1/plans", "/api/v1/plans/check"):
        answer = ann.post(where, json={"plan": {"legs": [*legs, leg("fine", "web1")]}})

        assert answer.json()["code"] == code
        assert words in answer.json()["detail"]
    assert ann.get("/api/v1/jobs").json()["items"] == []


def test_a_plan_can_be_tried_out_and_nothing_is_kept(ann: TestClient) -> None:
    answer = ann.post("/api/v1/plans/check", json={"plan": {"legs": CHAIN}})

    legs = answer.json()["legs"]
    assert [(one["key"], one["nodes"]) for one in legs] == [
        ("first", ["web1"]),
        ("second", ["web1"]),
    ]
    assert ann.get("/api/v1/jobs").json()["items"] == []


def test_a_viewer_may_try_a_plan_out_and_not_hand_it_in(house: House) -> None:
    with house.client("vera") as vera:
        assert vera.post("/api/v1/plans/check", json={"plan": {"legs": CHAIN}}).status_code == 200
        assert vera.post("/api/v1/plans", json={"plan": {"legs": CHAIN}}).status_code == 403


def test_nobody_of_another_org_sees_a_leg(house: House, ann: TestClient) -> None:
    plan = hand_in(ann, *CHAIN)
    (first, _) = legs_of(ann, plan)

    with house.client("eve") as eve:
        for path in (f"{plan['id']}/legs", plan["id"], first["id"]):
            assert eve.get(f"/api/v1/jobs/{path}").status_code == 404


def test_a_job_that_is_no_plan_has_no_legs(ann: TestClient) -> None:
    plan = hand_in(ann, *CHAIN)
    (first, _) = legs_of(ann, plan)

    assert ann.get(f"/api/v1/jobs/{first['id']}/legs").status_code == 404


def test_a_plan_is_waited_for_and_its_stream_tells_of_its_legs(
    house: House, ann: TestClient
) -> None:
    plan = hand_in(ann, *CHAIN)
    first, second = legs_of(ann, plan)
    house.reply(first["id"], "web1")
    house.reply(second["id"], "web1")

    found = ann.get(f"/api/v1/jobs/{plan['id']}/wait").json()
    stream = ann.get(
        f"/api/v1/jobs/{plan['id']}/events", headers={"Accept": "text/event-stream"}
    ).text
    page = ann.get(f"/api/v1/jobs/{plan['id']}/events").json()["items"]

    assert (found["state"], found["percent_complete"]) == ("succeeded", 100.0)
    said = [json.loads(text) for text in re.findall(r"^data: (\{\"seq.*)$", stream, re.MULTILINE)]
    ends = [(event["job"], event["kind"]) for event in said if event["new"] == "succeeded"]
    assert [event["seq"] for event in said] == [event["seq"] for event in page]
    assert ends == [
        (first["id"], "run.succeeded"),
        (first["id"], "job.succeeded"),
        (second["id"], "run.succeeded"),
        (second["id"], "job.succeeded"),
        (plan["id"], "job.succeeded"),
    ]


@pytest.mark.spec("S4-14")
def test_states_can_be_told_in_four_words(house: House, ann: TestClient) -> None:
    plan = hand_in(ann, *CHAIN)
    first, second = legs_of(ann, plan)
    later = datetime.now(UTC) + timedelta(hours=1)
    hand_in(ann, leg("later"), not_before=later.isoformat())
    house.begin(first["id"], "web1")
    house.reply(first["id"], "web1")
    told = [word(ann, plan["id"]), word(ann, first["id"]), word(ann, second["id"])]
    house.reply(second["id"], "web1", state=State.FAILED)
    told.append(word(ann, plan["id"]))

    listed = ann.get("/api/v1/jobs", params={"view": "pep3"}).json()["items"]

    assert told == ["in_progress", "complete", "queued", "failed"]
    assert [job["state"] for job in listed] == ["queued", "failed"]


def test_every_state_has_one_of_the_four_words() -> None:
    words = {"queued", "in_progress", "complete", "failed"}
    for state in State:
        for started in (None, datetime.now(UTC)):
            document = JobDocument.model_construct(state=state, started_at=started)
            assert pep3(document) in words


def word(client: TestClient, job: str) -> str:
    """The job's state in PEP 3's words."""
    found: str = client.get(f"/api/v1/jobs/{job}", params={"view": "pep3"}).json()["state"]
    return found


@pytest.mark.spec("S4-08", "S4-13")
def test_a_stuck_leg_is_tried_again_after_what_a_person_says(house: House, ann: TestClient) -> None:
    """What cannot be undone is refused, and the leg waits on."""
    plan = hand_in(
        ann,
        leg("a", "web1", undo="nothing"),
        leg("b", "web1", needs=[{"leg": "a"}], on_failure="pause"),
    )
    a, b = legs_of(ann, plan)
    house.reply(a["id"], "web1")
    house.reply(b["id"], "web1", state=State.FAILED, statuscode=1, statusmsg="it broke")
    where = f"/api/v1/jobs/{b['id']}/retry"
    [item] = ann.get("/api/v1/attention").json()["items"]
    assert [item[name] for name in ("job", "plan", "leg", "reason", "statusmsg", "tries")] == [
        *(b["id"], plan["id"], "b", "attempts_exhausted", "it broke", 1)
    ]
    assert item["verbs"] == ["retry", "resume", "resolve", "skip", "rollback", "cancel"]

    odd = ann.post(where, json={"mode": "rollback_to"})
    unknown = ann.post(where, json={"mode": "rollback_to", "rollback_to": ["x"]})
    again = ann.post(where, json={"mode": "rollback_to", "rollback_to": ["a"]})

    assert (odd.status_code, odd.json()["field"]) == (422, "rollback_to")
    assert unknown.json()["code"] == "invalid_plan"
    assert again.status_code == 200
    run = ann.get(f"/api/v1/jobs/{b['id']}/runs/web1").json()
    assert (run["attempt"], run["step"], run["state"]) == (2, "redo:a", "waiting")
    noted = ann.get(f"/api/v1/jobs/{b['id']}/events").json()["items"][-1]
    assert (noted["kind"], noted["actor"]) == ("job.waiting", "account:ann")
    ended = ann.post(f"/api/v1/jobs/{a['id']}/retry", json={"mode": "as_is"})
    assert (ended.status_code, ended.json()["field"]) == (422, "mode")


@pytest.mark.spec("S4-13")
@pytest.mark.parametrize(
    ("verb", "wish", "end", "about"),
    [
        ("retry", {}, "waiting", "job.waiting"),
        ("skip", {}, "skipped", "job.skipped"),
        ("resolve", {"as": "succeeded"}, "succeeded", "job.succeeded"),
        ("resolve", {"as": "failed"}, "failed", "job.failed"),
        ("cancel", {}, "cancelled", "job.cancelled"),
        ("rollback", {}, "failed", "plan.rollback_asked"),
    ],
)
def test_whatever_a_person_decides_is_done_and_on_record_under_their_name(
    house: House, ann: TestClient, verb: str, wish: dict[str, Any], end: str, about: str
) -> None:
    plan = hand_in(ann, leg("a", "web1", on_failure="pause"))
    (a,) = legs_of(ann, plan)
    house.reply(a["id"], "web1", state=State.FAILED, statuscode=1, statusmsg="it broke")
    assert len(ann.get("/api/v1/attention").json()["items"]) == 1
    concerned = plan if verb == "rollback" else a

    answer = ann.post(f"/api/v1/jobs/{concerned['id']}/{verb}", json=wish)

    assert answer.status_code in {200, 202}
    assert ann.get("/api/v1/attention").json()["items"] == []
    assert ann.get(f"/api/v1/jobs/{a['id']}").json()["state"] == end
    events = ann.get(f"/api/v1/jobs/{plan['id']}/events").json()["items"]
    told = [one for one in events if one["actor"] == "account:ann" and one["kind"] == about]
    assert (None if verb == "rollback" else "a") in {one["leg"] for one in told}


def test_events_of_a_plan_name_the_leg(ann: TestClient) -> None:
    plan = hand_in(ann, *CHAIN)

    found = ann.get(f"/api/v1/jobs/{plan['id']}/events").json()["items"]

    told = {(one["kind"], one["leg"]) for one in found}
    accepted = {("job.accepted", leg) for leg in (None, "first", "second")}
    assert told >= accepted
    (of_leg, *_) = legs_of(ann, plan)
    (alone,) = ann.get(f"/api/v1/jobs/{of_leg['id']}/events").json()["items"]
    assert alone["leg"] is None


@pytest.mark.parametrize(
    ("legs", "title"), [(CHAIN, "first…second"), (CHAIN[:1], "first")], ids=["two", "one"]
)
def test_a_plan_without_a_name_is_called_by_its_legs(
    ann: TestClient, legs: list[dict[str, Any]], title: str
) -> None:
    assert hand_in(ann, *legs)["action"] == title


@pytest.mark.spec("S4-02", "T13")
def test_who_follows_where_a_job_is_told_of_posts_once(ann: TestClient) -> None:
    """202 with a Location is no redirect: a client that follows those repeats no POST."""
    posted: list[str] = []
    ann.event_hooks["request"].append(lambda asked: posted.append(asked.method))

    answer = ann.post("/api/v1/plans", json={"plan": {"legs": CHAIN}}, follow_redirects=True)

    assert (answer.status_code, posted, answer.history) == (202, ["POST"], [])
    assert ann.get(answer.headers["Location"]).json()["id"] == answer.json()["id"]


@pytest.mark.spec("S4-01")
def test_a_plan_of_ten_minutes_is_answered_at_once(ann: TestClient) -> None:
    """Nothing of it is waited for: the answer has the id, and the plan has not begun."""
    slow = [leg("wait", "web1", delay_s=600), leg("go", "web1", needs=[{"leg": "wait"}])]
    quickest = min(_timed(lambda: hand_in(ann, *slow)) for _ in range(5))

    assert quickest < 0.3
    assert hand_in(ann, *slow)["state"] in {"scheduled", "waiting"}


def _timed(call: Callable[[], object]) -> float:
    before = time.monotonic()
    call()
    return time.monotonic() - before
