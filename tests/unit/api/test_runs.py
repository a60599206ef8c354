"""Runs of a job, and what they wrote."""

from typing import Any

import pytest
from sqlalchemy import func, select
from starlette.testclient import TestClient

from fleetjobs.messages import Output
from fleetjobs.states import State
from fleetjobs.store.schema.records import logs as logs_table
from tests.api_house import House
from tests.unit.api.conftest import Submit


def test_runs_are_listed_by_node_and_state(house: House, ann: TestClient, submit: Submit) -> None:
    """By pages, in the order of names."""
    job = submit()
    house.reply(job["id"], "web2", data={"pong": 1})
    path = f"/api/v1/jobs/{job['id']}/runs"

    first = ann.get(path, params={"limit": 2}).json()
    rest = ann.get(path, params={"limit": 2, "cursor": first["next"]}).json()

    assert [run["node"] for run in first["items"]] == ["web1", "web2"]
    assert [run["node"] for run in rest["items"]] == ["web3"]
    assert rest["next"] is None
    ended = ann.get(path, params={"state": "succeeded,failed"}).json()["items"]
    assert [(run["node"], run["data"]) for run in ended] == [("web2", {"pong": 1})]


@pytest.mark.spec("S2-17")
def test_a_run_shows_what_came_of_it(house: House, ann: TestClient, submit: Submit) -> None:
    """Both times, state, attempt, status and exit code."""
    job = submit(["web1"])
    house.reply(
        job["id"],
        "web1",
        state=State.FAILED,
        statuscode=1,
        statusmsg="no such package",
        exit_code=3,
    )

    run = ann.get(f"/api/v1/jobs/{job['id']}/runs/web1").json()

    assert (run["state"], run["reason"], run["attempt"]) == ("failed", "aborted", 1)
    assert (run["statuscode"], run["statusmsg"], run["exit_code"]) == (1, "no such package", 3)
    assert run["started_at"].endswith("Z")
    assert run["ended_at"].endswith("Z")


def test_a_run_that_is_not_is_not_found(ann: TestClient, submit: Submit) -> None:
    """The job has none on that node."""
    job = submit(["web1"])

    assert ann.get(f"/api/v1/jobs/{job['id']}/runs/web2").status_code == 404


@pytest.fixture
def logs(house: House, ann: TestClient, submit: Submit) -> Any:
    """Reads the log of a run that wrote `0123456789` and some bytes that are no text."""
    job = submit(["web1"])
    house.reply(
        job["id"],
        "web1",
        stdout=Output(size=10, content=b"0123456789"),
        stderr=Output(size=100, content=b"\xff\x00\xfe"),
    )

    def read(stream: str, **query: Any) -> Any:
        return ann.get(f"/api/v1/jobs/{job['id']}/runs/web1/logs/{stream}", params=query)

    return read


@pytest.mark.spec("S2-18")
def test_streams_are_kept_apart_and_byte_exact(logs: Any) -> None:
    """Also what is no UTF-8; of a stream that was cut, the size tells what was written."""
    out, error = logs("stdout"), logs("stderr")

    assert out.content == b"0123456789"
    assert error.content == b"\xff\x00\xfe"
    assert (error.headers["x-log-size"], error.headers["x-next-offset"]) == ("100", "3")
    assert out.headers["content-type"] == "application/octet-stream"


@pytest.mark.spec("S2-19")
@pytest.mark.parametrize(
    ("query", "content", "next_offset"),
    [
        ({"tail": 3}, b"789", "10"),
        ({"tail": -1}, b"0123456789", "10"),
        ({"tail": 0}, b"", "10"),
        ({"tail": 100}, b"0123456789", "10"),
        ({"offset": 4}, b"456789", "10"),
        ({"offset": 4, "limit": 2}, b"45", "6"),
        ({"offset": 99}, b"", "99"),
        ({"limit": 0}, b"", "0"),
    ],
)
def test_a_part_of_a_log_is_read(
    logs: Any, query: dict[str, int], content: bytes, next_offset: str
) -> None:
    """From an offset on, or the end of it; and where to go on."""
    answer = logs("stdout", **query)

    assert (answer.content, answer.headers["x-next-offset"]) == (content, next_offset)


@pytest.mark.parametrize("query", [{"offset": 1, "tail": 1}, {"offset": -1}, {"tail": -2}])
def test_parts_that_make_no_sense_are_refused(logs: Any, query: dict[str, int]) -> None:
    """422, naming the parameter."""
    answer = logs("stdout", **query)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")


@pytest.mark.spec("S2-20")
def test_a_silent_run_has_empty_logs(house: House, ann: TestClient, submit: Submit) -> None:
    """Of size 0."""
    job = submit(["web1"])
    house.reply(job["id"], "web1")

    run = ann.get(f"/api/v1/jobs/{job['id']}/runs/web1").json()

    assert run["logs"] == {"stdout": {"size": 0}, "stderr": {"size": 0}}
    with house.database.reading() as connection:
        assert connection.execute(select(func.count()).select_from(logs_table)).scalar() == 0
    assert ann.get(f"/api/v1/jobs/{job['id']}/runs/web1/logs/stdout").content == b""
