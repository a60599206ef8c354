"""Asking nodes over HTTP: what they have on their disks, and what their runs write."""

import json
from base64 import b64decode
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.testclient import TestClient

from fleetjobs.contract import Progress
from fleetjobs.messages import LogPart, Output, RunReport, Stage
from fleetjobs.states import State
from tests.api_house import House
from tests.unit.api.conftest import Submit
from tests.unit.api.test_verbs import path


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Where somebody waits for an answer while nodes give it."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.mark.spec("S0-03")
def test_nodes_say_what_they_have_and_the_silent_are_named(
    house: House, ann: TestClient, submit: Submit, pool: ThreadPoolExecutor
) -> None:
    job = submit(["web1", "web2"])
    report = RunReport(
        job=job["id"],
        attempt=1,
        task="rpcutil.ping",
        stage=Stage.STARTED,
        progress=Progress(percent=40, text="unpacking"),
    )

    asked = pool.submit(ann.get, path(job, "live"), params={"timeout": 1})
    house.answer("web2", runs=[report])

    found = asked.result().json()
    assert [item["node"] for item in found["items"]] == ["web1"]
    [run] = found["items"][0]["runs"]
    assert run["stage"] == "started"
    assert run["progress"] == {"percent": 40, "text": "unpacking"}
    assert found["silent"] == ["web2"]


def test_only_the_jobs_own_nodes_are_asked(ann: TestClient, submit: Submit) -> None:
    answer = ann.get(path(submit(["web1"]), "live"), params={"node": "web2"})

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_what_a_run_writes_is_asked_of_its_node(
    house: House, ann: TestClient, submit: Submit, pool: ThreadPoolExecutor
) -> None:
    """The database has nothing of it yet."""
    job = submit(["web1"])
    house.begin(job["id"], "web1")
    part = LogPart(attempt=1, offset=0, content=b"half", size=4, is_over=False)

    asked = pool.submit(ann.get, path(job, "runs", "web1", "logs", "stdout"))
    house.answer(log=part)

    answer = asked.result()
    assert (answer.content, answer.headers["x-log-complete"]) == (b"half", "false")


def test_the_tail_of_what_runs_is_what_is_there_by_now(
    house: House, ann: TestClient, submit: Submit, pool: ThreadPoolExecutor
) -> None:
    job = submit(["web1"])
    house.begin(job["id"], "web1")
    where = path(job, "runs", "web1", "logs", "stdout")

    asked = pool.submit(ann.get, where, params={"tail": 4})
    house.answer(log=LogPart(attempt=1, offset=0, content=b"", size=1000, is_over=False))
    house.answer(log=LogPart(attempt=1, offset=996, content=b"last", size=1000, is_over=False))

    answer = asked.result()
    assert (answer.content, answer.headers["x-next-offset"]) == (b"last", "1000")


def test_bytes_beyond_what_is_kept_are_asked_of_the_node(
    house: House, ann: TestClient, submit: Submit, pool: ThreadPoolExecutor
) -> None:
    """A reply carries the first of them alone."""
    job = submit(["web1"])
    house.reply(job["id"], "web1", stdout=Output(size=8, content=b"kept"))
    where = path(job, "runs", "web1", "logs", "stdout")

    asked: Future[Any] = pool.submit(ann.get, where, params={"offset": 4})
    house.answer(log=LogPart(attempt=1, offset=4, content=b"more", size=8, is_over=True))

    answer = asked.result()
    assert (answer.content, answer.headers["x-log-complete"]) == (b"more", "true")
    assert ann.get(where).content == b"kept"


def test_a_log_is_followed_until_the_run_is_over(
    house: House, ann: TestClient, submit: Submit, pool: ThreadPoolExecutor
) -> None:
    """First from the node, then from the database."""
    job = submit(["web1"])
    house.begin(job["id"], "web1")
    where = path(job, "runs", "web1", "logs", "stdout")

    asked = pool.submit(ann.get, where, params={"follow": "true"})
    house.answer(log=LogPart(attempt=1, offset=0, content=b"one ", size=4, is_over=False))
    house.answer(log=LogPart(attempt=1, offset=4, content=b"", size=4, is_over=False))
    house.reply(job["id"], "web1", stdout=Output(size=8, content=b"one two "))

    events = list(_events(asked.result().text))
    assert b"".join(b64decode(data["content"]) for kind, data in events if kind == "log") == (
        b"one two "
    )
    assert events[-1] == ("end", {"size": 8, "complete": True})


def test_a_log_that_is_followed_is_resumed(house: House, ann: TestClient, submit: Submit) -> None:
    job = submit(["web1"])
    house.reply(job["id"], "web1", stdout=Output(size=8, content=b"one two "))
    where = path(job, "runs", "web1", "logs", "stdout")

    answer = ann.get(where, params={"follow": 1, "tail": 2}, headers={"Last-Event-ID": "4"})

    [(_, data), _] = list(_events(answer.text))
    assert (data["offset"], b64decode(data["content"])) == (4, b"two ")


def test_a_run_that_has_not_begun_has_written_nothing(ann: TestClient, submit: Submit) -> None:
    """Nobody is asked."""
    answer = ann.get(path(submit(["web1"]), "runs", "web1", "logs", "stdout"))

    assert (answer.content, answer.headers["x-log-complete"]) == (b"", "false")


def test_logs_of_an_attempt_that_was_not_are_not_found(
    house: House, ann: TestClient, submit: Submit
) -> None:
    job = submit(["web1"])
    house.reply(job["id"], "web1", state=State.FAILED)

    answer = ann.get(path(job, "runs", "web1", "logs", "stdout"), params={"attempt": 2})

    assert answer.status_code == 404


@pytest.mark.spec("S1-26")
def test_one_status_answers_for_the_whole_installation(ann: TestClient, submit: Submit) -> None:
    submit(not_before=datetime(2030, 1, 1, tzinfo=UTC).isoformat())

    found = ann.get("/api/v1/status").json()

    names = {"state", "hostname", "pid", "waiting", "running", "spooled", "failed", "finished"}
    assert names | {"scheduled", "paused", "attention", "nodes", "versions"} <= set(found)
    assert (found["scheduled"], found["nodes"]["alive"]) == (1, 3)


def _events(text: str) -> Iterator[tuple[str, Any]]:
    for block in text.split("\n\n"):
        fields = dict(line.partition(": ")[::2] for line in block.splitlines())
        if "event" in fields:
            yield fields["event"], json.loads(fields["data"])
