"""Following a call from its acceptance, where the connection breaks on the way."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from fleetjobs.client.asking import Call, follow
from fleetjobs.client.fleet import Fleet
from fleetjobs.client.jobs import Job
from fleetjobs.client.profile import Profile
from fleetjobs.client.transport import Transport
from fleetjobs.errors import ServerAway
from fleetjobs.targets import Target
from tests.fake_http import TOKEN

JOB = {"id": "j1", "agent": "rpcutil", "action": "ping", "state": "waiting", "nodes": 1}
RUN = {"node": "web1", "state": "succeeded", "statuscode": 0, "data": {"pong": 1}}
END = {**JOB, "state": "succeeded"}


def message(kind: str, data: object, seq: int | None = None) -> str:
    """As the server sends it."""
    name = "" if seq is None else f"id: {seq}\n"
    return f"{name}event: {kind}\ndata: {json.dumps(data)}\n\n"


@contextmanager
def serving(*answers: str) -> Iterator[tuple[Fleet, list[str]]]:
    """A server that answers with these streams, one after the other; and what it was asked."""
    asked: list[str] = []
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.command} {self.path} {self.headers['Last-Event-ID'] or ''}")
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            self.wfile.write(left.pop(0).encode())

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever).start()
        url = f"http://127.0.0.1:{server.server_port}"
        yield Fleet(Transport(Profile(url=url, token=TOKEN))), asked
        server.shutdown()


def make_call() -> Call:
    """A ping."""
    return Call(agent="rpcutil", action="ping", data={}, target=Target())


def test_a_stream_that_breaks_goes_on_after_its_last_event() -> None:
    first = message("job", JOB) + message("run.succeeded", {"run": RUN}, 7)
    with serving(first, message("end", END)) as (fleet, asked):
        call = make_call()
        replies = Job(fleet, *follow(fleet, call)).replies(10)

        assert [reply.sender for reply in replies] == ["web1"]

    assert asked == [
        "POST /api/v1/jobs?only=ends ",
        f"GET /api/v1/jobs/{call.id}/events?only=ends 7",
    ]


def test_an_answer_that_breaks_before_the_job_is_told_is_asked_for_again() -> None:
    """The id is the same, so it is the same job."""
    with serving("event: jo", message("job", JOB) + message("end", END)) as (fleet, asked):
        document, stream = follow(fleet, make_call(), pause=lambda _: None)

        assert document == JOB
        assert stream is not None
        stream.close()

    assert asked == ["POST /api/v1/jobs?only=ends "] * 2


def test_an_answer_that_always_breaks_is_a_server_that_is_away() -> None:
    with serving("", "", "", "") as (fleet, _), pytest.raises(ServerAway, match="broke"):
        follow(fleet, make_call(), pause=lambda _: None)
