"""A small server that speaks the interface, for tests of the client and the command line.

By hand: `python -m tests.fake_server 30` prints what to export and serves until it is ended.
"""

import json
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from socket import SHUT_RDWR
from threading import Condition, Thread, Timer
from typing import Self

from msgspec import convert, structs, to_builtins

from fleetjobs.errors import Fault
from fleetjobs.interfaces import read_interface
from fleetjobs.requests import Request
from fleetjobs.signing import VerifyKey, peek
from fleetjobs.states import TERMINAL, State
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
        self.told: list[tuple[str, Json]] = []  # what was asked to be done, and how
        self.attention: list[Json] = []
        self.warnings: list[Json] = []
        self.versions: dict[str, int] | None = None  # None: all nodes have ours
        self.outbox: list[Json] = []
        self.coordinator: Json = {"state": "working", "holder": "host:1", "switches": []}
        self.sealed: dict[str, bytes] = {}
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

    def act(self, job: FakeJob, verb: str, wish: Json) -> Json:
        """Do something to a job. Nodes that are away confirm nothing."""
        self.told.append((verb, wish))
        if verb == "rerun":
            again = structs.replace(job.request, id=wish["id"])
            return self.submit(again).document | {"rerun_of": job.request.id}
        named = wish.get("target", {}).get("identities") or list(job.runs)
        for name in named:
            run = job.runs[name]
            if not self.nodes[name].alive:
                run |= {"pending": verb, "confirmed": False}
            if verb == "cancel" and run["state"] not in TERMINAL:
                outcome = {"state": "cancelled", "reason": "cancelled", "statusmsg": "cancelled"}
                self.end_run(job, name, outcome)
            elif verb in {"hold", "release"}:
                run["state"] = "paused" if verb == "hold" else "queued"
        if verb != "retry":  # nothing of a made-up job ever waits for that
            job.version += 1
        return job.document

    def edit(self, job: FakeJob, kind: str, body: bytes) -> Json:
        """Change a job."""
        changes = json.loads(body if kind == "application/json" else peek(body.decode()))
        fields = {name: changes[name] for name in ("data", "not_before") if name in changes}
        asked = to_builtins(job.request)
        fields["data"] = asked["data"] | fields.get("data", {})
        job.request = convert(asked | fields, Request)
        job.version += 1
        return job.document

    def status(self) -> Json:
        """How the fleet is."""
        alive = sum(node.alive for node in self.nodes.values())
        return {
            "state": "ok",
            "at": stamp(datetime.now(UTC)),
            "version": "0.1.0",
            "hostname": "controller",
            "pid": 42,
            "jobs": {state.value: 0 for state in State} | {"succeeded": len(self.jobs)},
            "attention": 0,
            "warnings": self.warnings,
            "nodes": {
                "alive": alive,
                "silent": len(self.nodes) - alive,
                "versions": self.versions or {"0.1.0": len(self.nodes)},
            },
        }

    def live(self, job: FakeJob) -> Json:
        """What the nodes have on their disks."""
        items = [
            {
                "node": name,
                "runs": [
                    {
                        "job": job.request.id,
                        "attempt": 1,
                        "action": "rpcutil.ping",
                        "progress": {"percent": 40.0, "text": "unpacking"},
                    }
                ],
                "error": "",
            }
            for name in job.runs
            if self.nodes[name].alive
        ]
        silent = [name for name in job.runs if not self.nodes[name].alive]
        return {"job": job.request.id, "items": items, "silent": silent}

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
