"""Whatever goes wrong is a problem document, never a traceback."""

import dataclasses
import json
import logging
from http import HTTPStatus
from typing import Any

import pytest
from starlette.testclient import TestClient

from fleetjobs.api.problems import STATUSES, status_of
from fleetjobs.control.limits import Limits
from fleetjobs.documents import LIMIT_BYTES
from fleetjobs.errors import DatabaseAway, Fault, Refused
from fleetjobs.store.database import Database
from tests.api_house import House
from tests.unit.api.conftest import Submit

JSON = {"Content-Type": "application/json"}
WISH: dict[str, Any] = {"agent": "rpcutil", "action": "ping"}


def assert_problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    """The answer is a whole problem document."""
    document: dict[str, Any] = answer.json()
    assert (answer.status_code, document["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert document["status"] == status
    assert document["title"]
    assert "Traceback" not in answer.text
    return document


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "not_found"),
        ("GET", "/api/v1/nothing", 404, "not_found"),
        ("GET", "/api/v1/jobs/", 404, "not_found"),
        ("GET", "/api/v1/jobs/no-uuid", 404, "not_found"),
        ("GET", "/api/v1/jobs/00000000-0000-0000-0000-000000000000", 404, "not_found"),
        ("GET", "/api/v1/nodes/nobody", 404, "not_found"),
        ("GET", "/api/v1/nodes/..%2f..%2fetc", 404, "not_found"),
        ("GET", "/api/v1/agents/nothing", 404, "unknown_agent"),
        ("GET", "/api/v1/agents/%00", 404, "unknown_agent"),
        ("GET", "/api/v1/jobs?stat=failed", 422, "invalid_parameter"),
        ("GET", "/api/v1/status?x=1", 422, "invalid_parameter"),
        ("GET", "/api/v1/jobs?state=lost", 422, "invalid_parameter"),
        ("GET", "/api/v1/jobs?since=1", 422, "invalid_parameter"),
        ("GET", "/api/v1/jobs?since=2026-01-01T00:00:00", 422, "invalid_parameter"),
        ("GET", "/api/v1/jobs?limit=0", 422, "invalid_parameter"),
        ("GET", "/api/v1/jobs?agent=a%00b", 422, "invalid_parameter"),
        ("GET", "/api/v1/jobs?cursor=zz", 400, "invalid_document"),
        ("GET", "/api/v1/events?after=99999999999999999999", 422, "invalid_parameter"),
        ("GET", "/api/v1/nodes?compound=((", 422, "invalid_target"),
        ("DELETE", "/api/v1/jobs", 405, "method_not_allowed"),
        ("TRACE", "/api/v1/jobs", 405, "method_not_allowed"),
        ("POST", "/api/v1/jobs", 415, "unknown_type"),
    ],
)
def test_every_error_is_a_problem_document(
    ann: TestClient, method: str, path: str, status: int, code: str
) -> None:
    """The framework's own errors too."""
    assert_problem(ann.request(method, path), status, code)


@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"])
@pytest.mark.parametrize("name", ["since", "until"])
def test_a_moment_at_the_end_of_time_is_as_good_as_any(
    ann: TestClient, name: str, moment: str
) -> None:
    """In another zone it would lie beyond what calendars show."""
    for path in ("jobs", "audit"):
        assert ann.get(f"/api/v1/{path}", params={name: moment}).json()["items"] == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"agent": "rpcutil", "action": "ping", "data": {"x": NaN}}',
        b'{"agent": "rpcutil", "action": "ping", "data": {"x": "\xff"}}',
        b'{"agent": "rpcutil", "action": "ping", "data": {"x": "\\ud800"}}',
        b'{"agent": "rpcutil", "action": "ping", "data": {"x": 1e999}}',
        b'{"agent": "rpcutil", "action": "ping", "data": ' + b'{"x":' * 100_000,
        b"[" * 1_000_000,
        b'"agent"',
        b"\x00\x01\x02",
    ],
)
def test_rubbish_is_the_callers_mistake(ann: TestClient, body: bytes) -> None:
    """Not JSON, not UTF-8, not finite, too deep, or of another shape."""
    answer = ann.post("/api/v1/jobs", content=body, headers=JSON)

    assert answer.status_code in {400, 422}
    assert_problem(answer, answer.status_code, "invalid_document")


@pytest.mark.parametrize("number", [10**400, 10**30])
def test_a_number_beyond_all_bounds_is_the_callers_mistake(ann: TestClient, number: int) -> None:
    """It fits no column and no other language."""
    body = json.dumps({**WISH, "action": "test", "data": {"count": number}})

    answer = ann.post("/api/v1/jobs", content=body, headers=JSON)

    assert 400 <= answer.status_code < 500


@pytest.mark.parametrize("body", [b"", b"a.b.c", b"\xff\xfe", b"e30.e30.AAAA", b"." * 1000])
def test_rubbish_in_place_of_a_seal_is_refused(ann: TestClient, body: bytes) -> None:
    """It bears nobody's signature."""
    answer = ann.post("/api/v1/jobs", content=body, headers={"Content-Type": "application/jose"})

    assert_problem(answer, 403, "unauthentic")


def test_a_body_beyond_the_limit_is_not_read(ann: TestClient) -> None:
    """413, by its declared length or by its own."""
    big = b" " * (LIMIT_BYTES + 1)

    declared = ann.post("/api/v1/jobs", content=big, headers=JSON)
    undeclared = ann.post("/api/v1/jobs", content=iter([big[:1000], big]), headers=JSON)

    assert_problem(declared, 413, "too_long")
    assert_problem(undeclared, 413, "too_long")


@pytest.mark.parametrize(
    "authorization", [None, "Bearer", "Bearer nonsense", "Basic YTpi", "Bearer \xe9"]
)
def test_without_a_token_that_is_known_nothing_is_told(
    house: House, authorization: str | None
) -> None:
    """401, and how to authenticate."""
    headers = {} if authorization is None else {"Authorization": authorization.encode("latin-1")}
    client = TestClient(house.app, raise_server_exceptions=False)

    answer = client.get("/api/v1/jobs", headers=headers)

    assert_problem(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_405_names_all_methods_of_the_path(ann: TestClient) -> None:
    """Those of other functions at the same path too."""
    assert ann.delete("/api/v1/jobs").headers["allow"] == "GET, HEAD, POST"
    assert ann.post("/api/v1/status").headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", ["jobs", "healthz", "docs", "openapi.json", "nodes/nobody"])
def test_head_answers_as_get_without_a_body(ann: TestClient, path: str) -> None:
    """RFC 9110, 9.3.2."""
    got = ann.get(f"/api/v1/{path}")
    answer = ann.head(f"/api/v1/{path}")

    assert (answer.status_code, answer.content) == (got.status_code, b"")
    assert answer.headers["content-length"] == str(len(got.content))


def test_head_of_a_stream_ends(ann: TestClient, submit: Submit) -> None:
    """A stream has no end of its own while its job lives."""
    path = f"/api/v1/jobs/{submit()['id']}/events"

    answer = ann.head(path, headers={"Accept": "text/event-stream"})

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")


def test_an_absent_database_is_a_reason_to_come_again(
    ann: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """503 with Retry-After; the server still lives, and says that it is not ready.

    Where the database was looked for is for the log alone.
    """

    def gone(_: Database) -> None:
        raise DatabaseAway('connection to "db.internal", user "fleet" failed')

    monkeypatch.setattr(Database, "reading", gone)

    answer = ann.get("/api/v1/jobs")

    problem = assert_problem(answer, 503, "database_away")
    assert problem["detail"] == "the database cannot be reached; try again soon"
    assert "db.internal" in caplog.text
    assert answer.headers["retry-after"] == "5"
    assert ann.get("/api/v1/healthz").status_code == 200
    assert ann.get("/api/v1/readyz").status_code == 503


def test_a_defect_of_ours_shows_no_traceback(
    ann: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The caller learns that it is our fault, and no more."""

    def broken(_: Database) -> None:
        raise ZeroDivisionError("secret")

    caplog.set_level(logging.CRITICAL)
    monkeypatch.setattr(Database, "reading", broken)

    answer = ann.get("/api/v1/jobs")

    assert "secret" not in assert_problem(answer, 500, "fault")["detail"]


def test_every_fault_has_a_status() -> None:
    """A refusal is the caller's affair, all else is ours."""

    def all_of(kind: type[Fault]) -> set[type[Fault]]:
        return {kind}.union(*(all_of(child) for child in kind.__subclasses__()))

    for kind in all_of(Fault):
        status = status_of(kind.__new__(kind))
        assert (400 <= status < 500) == issubclass(kind, Refused), kind
    assert STATUSES[DatabaseAway.__bases__[0]] == 503


def test_answers_carry_headers_that_keep_browsers_from_harm(ann: TestClient) -> None:
    """Problems too."""
    for path in ("/api/v1/status", "/api/v1/docs", "/nothing"):
        headers = ann.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"].startswith("default-src 'self'")
        assert headers["cache-control"] == "no-store"


@pytest.mark.spec("S4-24")
def test_a_full_queue_says_when_to_come_again(house: House, ann: TestClient) -> None:
    """429 with Retry-After, and nothing is kept."""
    desk = house.app.state.desk
    control = dataclasses.replace(desk.control, limits=Limits(runs_per_node=1))
    house.app.state.desk = dataclasses.replace(desk, control=control)
    wish = WISH | {"target": {"identities": ["web1"]}}
    assert ann.post("/api/v1/jobs", json=wish).status_code == HTTPStatus.ACCEPTED

    schedule = {"label": "daily", "rule": {"cron": "0 4 * * *"}, "work": {"call": wish}}
    assert ann.post("/api/v1/schedules", json=schedule).status_code == HTTPStatus.CREATED

    answers = [ann.post("/api/v1/jobs", json=wish), ann.post("/api/v1/schedules/daily/run-now")]

    for answer in answers:
        assert "web1 has 1 runs" in assert_problem(answer, 429, "queue_full")["detail"]
        assert int(answer.headers["retry-after"]) > 0
    assert len(ann.get("/api/v1/jobs").json()["items"]) == 1
