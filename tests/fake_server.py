"""A small server that speaks the interface, for tests of the client and the command line.

By hand: `python -m tests.fake_server 30` prints what to export and serves until it is ended.
"""

import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from socket import SHUT_RDWR
from threading import Condition, Thread, Timer
from typing import Self

from fleetjobs.errors import Fault
from fleetjobs.interfaces import read_interface
from fleetjobs.messages import Request
from fleetjobs.signing import VerifyKey
from fleetjobs.targets import pick
from tests.fake_fleet import RPCUTIL, FakeJob, FakeNode, Json, a_fleet, stamp
from tests.fake_http import TOKEN, Handler, Http


class FakeServer:
    """The server; `with FakeServer(nodes) as server:` serves in a thread."""

    def __init__(self, nodes: list[FakeNode], key: VerifyKey | None = None) -> None:
        self.nodes = {node.name: node for node in nodes}
        self.interfaces = {"rpcutil": RPCUTIL}
        self.key = key
        self.jobs: dict[str, FakeJob] = {}
        self.logs: dict[tuple[str, str, str], bytes] = {}
        self.asked: list[str] = []  # method and address of each request
        self.bodies: list[tuple[str, bytes]] = []  # content type and body of each POST
        self.break_after: int | None = None  # a stream is cut after so many messages
        self.problems: list[Fault] = []  # raised, one by one, by the next requests
        self.changed = Condition()
        self._http = Http(("127.0.0.1", 0), Handler)
        self._http.fake = self
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> Self:
        Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._http.is_open:
            self._http.is_open = False
            self._http.shutdown()
        self._http.server_close()

    def profile(self, path: Path) -> Path:
        """A client.toml for it, written there."""
        path.write_text(f'url = "{self.url}"\ntoken = "{TOKEN}"\n')
        return path

    def cut(self) -> None:
        """Close every connection, as a restart does."""
        for connection in list(self._http.connections):
            with suppress(OSError):
                connection.shutdown(SHUT_RDWR)

    def stop(self) -> None:
        """Take no new connections, and close those there are."""
        self.__exit__()
        self.cut()

    def submit(self, request: Request) -> FakeJob:
        """Take a request; its nodes begin to reply. Raises what refuses it."""
        with self.changed:
            if request.id in self.jobs:
                return self.jobs[request.id]
            names = pick(request.target, (node.node for node in self.nodes.values()))
            read_interface(self.interfaces[request.agent]).action(request.action).check(
                request.data
            )
            job = self.jobs[request.id] = FakeJob(request, [str(name) for name in names])
        for name in job.runs:
            timer = Timer(self.nodes[name].delay, self._end_run, (job, name))
            timer.daemon = True
            timer.start()
        return job

    def _end_run(self, job: FakeJob, name: str) -> None:
        outcome = self.nodes[name].outcome(job.request)
        if outcome is not None:
            self.end_run(job, name, outcome)

    def end_run(self, job: FakeJob, name: str, outcome: Json) -> None:
        """Let a run end so; the job too, if it was the last."""
        with self.changed:
            now = stamp(datetime.now(UTC))
            run = job.runs[name]
            run |= {"started_at": now, "ended_at": now, **outcome}
            self._tell(job, f"run.{run['state']}", name, run)
            if job.is_over:
                job.ended_at = now
                self._tell(job, f"job.{job.document['state']}", None, None)
            self.changed.notify_all()

    def _tell(self, job: FakeJob, kind: str, node: str | None, run: Json | None) -> None:
        job.events.append(
            {"seq": len(job.events) + 1, "kind": kind, "node": node, "job": job.request.id}
            | {"run": dict(run) if run else None, "new": kind.partition(".")[2]}
        )


if __name__ == "__main__":
    with FakeServer(a_fleet(int(sys.argv[1]) if len(sys.argv) > 1 else 30)) as server:
        sys.stdout.write(f"export FLEETJOBS_URL={server.url} FLEETJOBS_TOKEN={TOKEN}\n")
        sys.stdout.flush()
        while True:
            time.sleep(3600)
