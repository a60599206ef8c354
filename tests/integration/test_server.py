"""The server as a process: its streams, their resumption, and how it ends."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fleetjobs.signing import SERVER, SigningKey
from fleetjobs.states import State
from tests.api_house import NODES, House, make_house
from tests.processes import free_port, wait_for


@dataclass
class RunningServer:
    """A server process on the database of a house."""

    house: House
    settings: Path
    port: int
    open: contextlib.ExitStack
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Run it, and return once it is ready."""
        argv = [sys.executable, "-m", "fleetjobs.programs.server", "--config", str(self.settings)]
        with self.settings.with_suffix(".log").open("ab") as log:
            self.process = subprocess.Popen(argv, stderr=log, env={"PATH": os.environ["PATH"]})
        wait_for(self._is_ready, within=30)

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log()
        try:
            return self.get("/readyz").status == 200
        except OSError:
            return False

    def stop(self, number: int = signal.SIGTERM) -> float:
        """End it; how many seconds that took."""
        assert self.process is not None
        begin = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(60)
        return time.monotonic() - begin

    def log(self) -> str:
        """What it logged."""
        return self.settings.with_suffix(".log").read_text()

    def get(self, path: str, **headers: str) -> http.client.HTTPResponse:
        """The answer to a GET."""
        return self._ask("GET", path, None, {n.replace("_", "-"): v for n, v in headers.items()})

    def submit(self) -> str:
        """A ping of all nodes; its id."""
        wish = json.dumps({"agent": "rpcutil", "action": "ping"})
        answer = self._ask("POST", "/jobs", wish, {"Content-Type": "application/json"})
        return str(json.loads(answer.read())["id"])

    def _ask(
        self, method: str, path: str, body: str | None, headers: dict[str, str]
    ) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        self.open.callback(connection.close)
        token = {"Authorization": f"Bearer {self.house.tokens['ann']}"}
        connection.request(method, f"/api/v1{path}", body, {**token, **headers})
        return self.open.enter_context(connection.getresponse())

    def stream(self, job: str, query: str = "", last: str | None = None) -> "Messages":
        """The job's events as they come."""
        resumed = {} if last is None else {"Last_Event_ID": last}
        answer = self.get(f"/jobs/{job}/events{query}", Accept="text/event-stream", **resumed)
        assert answer.status == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        return Messages(answer)


@dataclass
class Messages:
    """The messages of a stream: (id, event, data)."""

    answer: http.client.HTTPResponse

    def __iter__(self) -> Iterator[tuple[str, str, Any]]:
        """Until the stream ends."""
        fields: dict[str, str] = {}
        for raw in self.answer:
            line = raw.decode().rstrip("\n")
            if not line:
                if "data" in fields:
                    yield fields.get("id", ""), fields["event"], json.loads(fields["data"])
                fields = {}
            elif not line.startswith(":"):
                name, _, value = line.partition(":")
                fields[name] = value.removeprefix(" ")


@pytest.fixture
def server(tmp_path: Path, database_url: str) -> Iterator[RunningServer]:
    """A server that runs, on each database."""
    SigningKey.generate(SERVER).save(tmp_path / "server.pem")
    port = free_port()
    settings = tmp_path / "server.toml"
    settings.write_text(f'database = "{database_url}"\nkey = "server.pem"\nport = {port}\n')
    with contextlib.ExitStack() as connections:
        running = RunningServer(make_house(database_url), settings, port, connections)
        running.start()
        yield running
    assert running.process is not None
    if running.process.poll() is None:
        running.stop(signal.SIGKILL)
    running.house.database.close()


def test_a_stream_tells_a_job_to_its_end(server: RunningServer) -> None:
    """What another process writes arrives at once; the last message is the ended job."""
    job = server.submit()
    messages = iter(server.stream(job))
    accepted = next(messages)

    begin = time.monotonic()
    server.house.reply(job, *NODES[:2], data={"pong": 1})
    first = next(message for message in messages if message[1] == "run.succeeded")
    took = time.monotonic() - begin
    server.house.reply(job, NODES[2], state=State.FAILED)
    rest = list(messages)

    assert accepted[1] == "job.accepted"
    assert first[2]["run"]["data"] == {"pong": 1}
    assert took < 4  # of the five between looks: it was told, it did not come by and look
    assert [event for _, event, _ in rest[-2:]] == ["job.failed", "end"]
    assert (rest[-1][2]["id"], rest[-1][2]["state"]) == (job, "failed")


def test_a_stream_goes_on_where_it_broke_over_a_restart(server: RunningServer) -> None:
    """Last-Event-ID names a row of the database, so any server knows it."""
    job = server.submit()
    server.house.reply(job, NODES[0])
    messages = iter(server.stream(job))
    before = [next(messages) for _ in range(3)]
    server.stop()
    server.house.reply(job, *NODES[1:])
    server.start()

    after = list(server.stream(job, last=before[-1][0]))

    ids = [int(name) for name, event, _ in before + after if event != "end"]
    everything = json.loads(server.get(f"/jobs/{job}/events").read())["items"]
    assert ids == [event["seq"] for event in everything]
    assert after[-1][1] == "end"


def test_only_ends_are_told_to_who_wants_them_only(server: RunningServer) -> None:
    """One message a run, one for the job, and the end."""
    job = server.submit()
    server.house.reply(job, *NODES)

    events = [event for _, event, _ in server.stream(job, "?only=ends")]

    assert events == ["run.succeeded"] * 3 + ["job.succeeded", "end"]


def test_a_stream_of_an_ended_job_ends_at_once(server: RunningServer) -> None:
    """Also if the client knows all its events."""
    job = server.submit()
    server.house.reply(job, *NODES)
    last = list(server.stream(job))[-2][0]

    assert [event for _, event, _ in server.stream(job, last=last)] == ["end"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_open_streams_do_not_keep_the_server(server: RunningServer, number: signal.Signals) -> None:
    """It leaves soon, its streams without `end`, which means: come again."""
    job = server.submit()
    streams = [iter(server.stream(job)) for _ in range(3)]
    for stream in streams:
        next(stream)

    took = server.stop(number)

    assert took < 30
    assert all(event != "end" for stream in streams for _, event, _ in stream)
    assert server.process is not None
    assert server.process.returncode == 0
    assert "Traceback" not in server.log()


def test_many_followers_of_many_jobs_each_get_their_own(server: RunningServer) -> None:
    """One listener wakes them all."""
    jobs = [server.submit() for _ in range(5)]
    streams = [server.stream(job, "?only=ends") for job in jobs for _ in range(4)]
    ends: list[list[Any]] = []
    readers = [
        threading.Thread(target=lambda stream=stream: ends.append(list(stream)))
        for stream in streams
    ]
    for reader in readers:
        reader.start()
    for job in jobs:
        server.house.reply(job, *NODES)
    for reader in readers:
        reader.join(20)

    assert sorted(messages[-1][2]["id"] for messages in ends) == sorted(jobs * 4)
    assert all(len(messages) == 5 for messages in ends)
