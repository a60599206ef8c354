"""The HTTP half of the fake server: paths in, documents out."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import IPPROTO_TCP, TCP_NODELAY, socket
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from msgspec import convert

from fleetjobs.documents import decode
from fleetjobs.errors import Fault, NoNodes, Refused, UnknownAgent
from fleetjobs.requests import Request
from fleetjobs.signing import unseal
from fleetjobs.targets import make_target, pick
from tests.fake_fleet import FakeJob, FakeNode, Json, stamp

TOKEN = "fjt_test"  # noqa: S105  a made-up one
STATUS = {"not_found": 404, "unknown_agent": 404, "denied": 403, "database_away": 503}


class Http(ThreadingHTTPServer):
    """Serves each connection in a thread, and remembers them so that they can be cut."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    fake: Any  # the FakeServer
    is_open = True

    def __init__(self, *given: Any) -> None:
        """Listen."""
        self.connections: set[socket] = set()
        super().__init__(*given)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Http
    timeout = 30

    def setup(self) -> None:
        """Connect."""
        super().setup()
        self.server.connections.add(self.connection)
        self.connection.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)  # headers and body leave apart

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """Answer."""
        self._answer(self._post)

    def do_PATCH(self) -> None:
        """Answer."""
        self._answer(self._patch)

    def do_DELETE(self) -> None:
        """Answer: only the outbox can be emptied."""
        self._answer(self._delete)

    def _answer(self, answer: Callable[[list[str], dict[str, list[str]]], None]) -> None:
        fake = self.server.fake
        fake.asked.append(f"{self.command} {self.path}")
        parts = urlsplit(self.path)
        try:
            if fake.problems:
                raise fake.problems.pop(0)
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                self._problem(401, "unauthenticated", "the token is unknown, expired or revoked")
                return
            path = [unquote(part) for part in parts.path.removeprefix("/api/v1/").split("/")]
            answer(path, parse_qs(parts.query))
        except Fault as fault:
            status = STATUS.get(fault.code, 422 if isinstance(fault, Refused) else 500)
            self._problem(status, fault.code, str(fault))
        except KeyError as missing:
            self._problem(404, "not_found", f"there is no {missing}")

    def _get(self, path: list[str], query: dict[str, list[str]]) -> None:
        fake = self.server.fake
        match path:
            case ["status"]:
                self._json(200, fake.status())
            case ["agents"]:
                self._json(200, {"items": [self._agent(name) for name in fake.interfaces]})
            case ["agents", name]:
                if name not in fake.interfaces:
                    raise UnknownAgent(f"no node has an agent {name!r}")
                self._json(200, self._agent(name) | {"interface": fake.interfaces[name]})
            case ["nodes"]:
                self._json(200, {"items": self._nodes(query), "next": None})
            case ["nodes", name, "agents"] if name in fake.nodes:
                self._json(200, self._node_agents(fake.nodes[name]))
            case ["nodes", name]:
                self._json(200, self._node(fake.nodes[name]))
            case ["jobs"]:
                jobs = [job.document for job in reversed(fake.jobs.values())]
                states = query.get("state", [])
                self._page([job for job in jobs if not states or job["state"] in states], query)
            case ["jobs", job, *rest]:
                self._job(fake.jobs[job], rest, query)
            case _:
                self._rest(path, query)

    def _rest(self, path: list[str], query: dict[str, list[str]]) -> None:
        fake = self.server.fake
        match path:
            case ["attention"]:
                self._page(fake.attention, query)
            case ["coordinator"]:
                self._json(200, fake.coordinator)
            case ["coordinator", "outbox"]:
                self._page(fake.outbox, query)
            case _:
                raise KeyError(self.path)

    def _job(self, job: FakeJob, rest: list[str], query: dict[str, list[str]]) -> None:
        fake = self.server.fake
        match rest:
            case []:
                self._json(200, job.document)
            case ["wait"]:
                with fake.changed:
                    over = fake.changed.wait_for(lambda: job.is_over, float(query["timeout"][0]))
                self._json(200 if over else 202, job.document)
            case ["runs"]:
                states = query.get("state", [])
                runs = [run for run in job.runs.values() if not states or run["state"] in states]
                self._page(runs, query)
            case ["runs", node]:
                self._json(200, job.runs[node])
            case ["runs", node, "logs", stream]:
                self._log(fake.logs.get((job.request.id, node, stream), b""), query)
            case ["events"]:
                if "text/event-stream" in self.headers["Accept"]:
                    self._stream(job)
                else:
                    self._page(job.events, query)
            case ["live"]:
                self._json(200, fake.live(job))
            case ["request"]:
                sealed = fake.sealed[job.request.id]
                self._send(200, sealed, "application/jose", {})
            case _:
                raise KeyError(self.path)

    def _post(self, path: list[str], _: dict[str, list[str]]) -> None:
        fake = self.server.fake
        body = self.rfile.read(int(self.headers["Content-Length"]))
        kind = self.headers["Content-Type"]
        fake.bodies.append((kind, body))
        match path:
            case ["jobs"]:
                self._json(202, fake.submit(self._request(kind, body)).document)
            case ["jobs", job, verb]:
                self._json(200, fake.act(fake.jobs[job], verb, json.loads(body)))
            case ["nodes"]:
                self._json(201, json.loads(body) | {"org": "default"})
            case ["coordinator", verb]:
                fake.told.append((verb, json.loads(body)))
                self._json(200, fake.coordinator)
            case _:
                raise KeyError(self.path)

    def _delete(self, path: list[str], query: dict[str, list[str]]) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if path[0] == "nodes":
            self._remove(path[1], force=bool(query.get("force")))
            return
        self._json(200, {"cancelled": len(self.server.fake.outbox)})

    def _remove(self, name: str, *, force: bool) -> None:
        """A node is taken off, as `DELETE /nodes/{node}` does it."""
        nodes = self.server.fake.nodes
        if nodes[name].alive and not force:
            self._problem(409, "conflict", f"{name} lives; stop it first, or force it off")
            return
        del nodes[name]
        self._json(200, {"identity": name, "given_up": 2})

    def _patch(self, path: list[str], _: dict[str, list[str]]) -> None:
        fake = self.server.fake
        body = self.rfile.read(int(self.headers["Content-Length"]))
        fake.bodies.append((self.headers["Content-Type"], body))
        job = fake.jobs[path[1]]
        if self.headers["If-Match"] != f'"{job.version}"':
            self._problem(412, "changed_meanwhile", "the job was changed meanwhile")
            return
        self._json(200, fake.edit(job, self.headers["Content-Type"], body))

    def _request(self, kind: str, body: bytes) -> Request:
        fake = self.server.fake
        if kind == "application/jose":
            keys = {"account:ann": fake.key} if fake.key else {}
            return decode(Request, unseal(body.decode(), keys)[1])
        wish = json.loads(body)
        wish |= {"org": "acme", "caller": "ann", "created_at": stamp(datetime.now(UTC))}
        if wish.get("start_before") == "never":
            wish |= {"start_before": None, "keep": True}
        return convert(wish, Request)

    def _nodes(self, query: dict[str, list[str]]) -> list[Json]:
        fake = self.server.fake
        target = make_target(
            identities=query.get("identity", []),
            facts=query.get("fact", []),
            classes=query.get("class", []),
            agents=query.get("agent", []),
            compound=query.get("compound", [None])[0],
            limit=query.get("limit", [None])[0],
        )
        try:
            names = pick(target, (node.node for node in fake.nodes.values()))
        except NoNodes:
            names = []
        return [self._node(fake.nodes[name]) for name in names]

    def _node(self, fake: FakeNode) -> Json:
        node = fake.node
        return {
            "identity": node.identity,
            "org": node.org,
            "alive": fake.alive,
            "facts": node.facts,
            "classes": sorted(node.classes),
            "agents": node.agents,
            "software": node.software,
            "seen_at": stamp(node.seen_at),
            "started_at": stamp(node.started_at),
            "slots": 8,
            "warnings": [item for item in self.server.fake.warnings if item["node"] == fake.name],
            "running": 0,
            "waiting": 0,
            "refused": node.refused,
        }

    def _agent(self, name: str) -> Json:
        metadata = self.server.fake.interfaces[name]["metadata"]
        return {
            "name": name,
            "version": metadata["version"],
            "description": metadata["description"],
            "nodes": len(self.server.fake.nodes),
            "versions": {metadata["version"]: len(self.server.fake.nodes)},
            "provider": metadata.get("provider", "fleetjobs"),
        }

    def _node_agents(self, node: FakeNode) -> Json:
        interfaces = self.server.fake.interfaces
        return {
            "items": [
                self._agent(name) | {"actions": [a["action"] for a in interfaces[name]["actions"]]}
                for name in interfaces
            ],
            "refused": [{"name": name, "reason": why} for name, why in node.refused.items()],
        }

    def _log(self, log: bytes, query: dict[str, list[str]]) -> None:
        offset = int(query.get("offset", ["0"])[0])
        if "tail" in query and int(query["tail"][0]) >= 0:
            offset = max(len(log) - int(query["tail"][0]), 0)
        piece = log[offset : offset + int(query.get("limit", ["65536"])[0])]
        if "follow" in query:
            content = json.dumps({"offset": 0, "content": b64encode(log).decode()})
            text = f"id: {len(log)}\nevent: log\ndata: {content}\n\nevent: end\ndata: {{}}\n\n"
            self._send(200, text.encode(), "text/event-stream", {})
            return
        headers = {"X-Log-Size": str(len(log)), "X-Next-Offset": str(offset + len(piece))}
        self._send(200, piece, "application/octet-stream", headers)

    def _page(self, items: list[Json], query: dict[str, list[str]]) -> None:
        start, limit = int(query.get("cursor", ["0"])[0]), int(query.get("limit", ["100"])[0])
        end = start + limit
        self._json(200, {"items": items[start:end], "next": str(end) if end < len(items) else None})

    def _stream(self, job: FakeJob) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        self.wfile.write(b": hello\nretry: 1000\n\n")
        fake = self.server.fake
        for sent, event in enumerate(self._events(job, int(self.headers["Last-Event-ID"] or 0))):
            if sent == fake.break_after:
                return
            text = f"id: {event['seq']}\nevent: {event['kind']}\ndata: {json.dumps(event)}\n\n"
            self.wfile.write(text.encode())
        self.wfile.write(f"event: end\ndata: {json.dumps(job.document)}\n\n".encode())

    def _events(self, job: FakeJob, last: int) -> Iterator[Json]:
        fake = self.server.fake
        while True:
            with fake.changed:
                while len(job.events) <= last and not job.is_over:
                    fake.changed.wait(5)
                    self.wfile.write(b": alive\n\n")
                fresh, over = job.events[last:], job.is_over
            yield from fresh
            last += len(fresh)
            if over:
                return

    def _json(self, status: int, document: object) -> None:
        self._send(status, json.dumps(document).encode(), "application/json", {})

    def _problem(self, status: int, code: str, detail: str) -> None:
        document = {"type": "about:blank", "title": code, "status": status}
        body = json.dumps(document | {"detail": detail, "code": code}).encode()
        self._send(status, body, "application/problem+json", {})

    def _send(self, status: int, body: bytes, kind: str, headers: dict[str, str]) -> None:
        if self.command == "POST" and not self.server.fake.bodies:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
