"""Foreground: what a node can tell and do alone, with worker, broker and server down."""

import json
import signal
import sys
import threading
from datetime import UTC, datetime
from getpass import getuser
from pathlib import Path
from typing import Any

import msgspec
from uuid_utils import uuid7

from fleetjobs.errors import Fault, InvalidDocument
from fleetjobs.jobs import JobId, NodeId
from fleetjobs.messages import Delivery, Reply, Request, RunReport, Verb, decode, encode
from fleetjobs.node.host import wake_up
from fleetjobs.node.reading import log_part, reports
from fleetjobs.node.runner import Runner
from fleetjobs.programs.settings import NodeSettings
from fleetjobs.programs.workplaces import workplace_of
from fleetjobs.registry import Registry
from fleetjobs.signing import SigningKey, digest, node_key_id, peek
from fleetjobs.spool.attempts import RunDirectory, RunKey
from fleetjobs.spool.fences import Fence
from fleetjobs.spool.spool import Spool
from fleetjobs.states import State

FAILED = 2  #: exit status when the action did not succeed
COPY_EVERY_S = 0.1
CHUNK = 1024 * 1024


def show_jobs(settings: NodeSettings, *, as_json: bool) -> int:
    """Print what lies in the spool, the newest first; what is not over comes before all else."""
    place = settings.state / "spool"
    found = reports(Spool(place)) if place.is_dir() else []
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode({"items": found}) + b"\n")
        return 0
    for each in found:
        sys.stdout.write(_line(each) + "\n")
    return 0


def _line(each: RunReport) -> str:
    at = each.accepted_at.astimezone(UTC) if each.accepted_at else None
    message = "".join(letter if letter.isprintable() else " " for letter in each.statusmsg)
    state = each.state or each.stage
    when = f"{at:%FT%TZ}" if at else ""
    return f"{each.job}  {each.attempt:>3}  {when}  {state:<9}  {each.task}  {message}".rstrip()


def run_request(settings: NodeSettings, path: Path) -> int:
    """Carry out the request in a file through the ordinary runner, and print its reply.

    It stands in a spool of its own: the fleet is not told. Raises Fault.
    """
    workplace = workplace_of(settings)
    workplace = msgspec.structs.replace(workplace, spool=settings.state / "foreground")
    signer = SigningKey.load(node_key_id(workplace.node), workplace.key)
    spool, registry = Spool(workplace.spool), Registry(workplace.agents)
    request = read_request(path)
    registry.agent(request.agent).interface.action(request.action).check(request.data)
    run = _accept(spool, signer, workplace.node, request)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: _stop(spool, run.key))
    copier = _Copier(run)
    copier.start()
    runner = Runner(
        workplace=workplace,
        spool=spool,
        registry=registry,
        signer=signer,
        clock=_now,
        wakeup=wake_up(),
    )
    runner.start(run.key, 0)
    copier.finish()
    reply = decode(Reply, peek(run.final() or ""))
    for entry in spool.outbox():
        if entry.key == run.key:
            spool.confirm(entry)
    document = msgspec.to_builtins(reply, builtin_types=(datetime,))
    sys.stdout.write(json.dumps(document, indent=2, default=str) + "\n")
    return 0 if reply.state is State.SUCCEEDED else FAILED


def read_request(path: Path) -> Request:
    """The request in a file: whole, as in `docs/schemas/request.json`, or just what it needs.

    Raises InvalidDocument.
    """
    try:
        document: Any = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidDocument(f"{path}: {error}") from None
    if not isinstance(document, dict):
        raise InvalidDocument(f"{path}: a request is a JSON object")
    whole = {
        "type": "request",
        "id": str(uuid7()),
        "org": "local",
        "caller": getuser(),
        "data": {},
        "target": {},
        "created_at": f"{_now():%FT%TZ}",
        **document,
    }
    try:
        return decode(Request, json.dumps(whole).encode())
    except Fault as fault:
        raise InvalidDocument(f"{path}: {fault}") from None


def _accept(spool: Spool, signer: SigningKey, node: NodeId, request: Request) -> RunDirectory:
    sealed = signer.seal(encode(request))
    delivery = Delivery(
        job=request.id, node=node, attempt=1, request=digest(sealed), issued_at=_now()
    )
    return spool.add(
        RunKey(JobId(request.id), 1),
        delivery=signer.seal(encode(delivery)),
        request=sealed,
        accepted_at=_now(),
    )


def _stop(spool: Spool, key: RunKey) -> None:
    spool.fences.put(key, Fence(generation=0, verb=Verb.STOP, at=_now(), why="interrupted"))


class _Copier(threading.Thread):
    """Shows on our streams what the run writes to its own."""

    def __init__(self, run: RunDirectory) -> None:
        super().__init__(daemon=True)
        self._run = run
        self._ended = threading.Event()
        self._offsets = {"stdout": 0, "stderr": 0}

    def run(self) -> None:
        """Copy until the run is over."""
        while not self._ended.wait(COPY_EVERY_S):
            self._copy()
        self._copy()

    def finish(self) -> None:
        """Copy the last of it."""
        self._ended.set()
        self.join()

    def _copy(self) -> None:
        for name in ("stdout", "stderr"):
            while True:
                part = log_part(self._run, name, self._offsets[name], CHUNK)
                if not part.content:
                    break
                sys.stderr.buffer.write(part.content)
                self._offsets[name] += len(part.content)
        sys.stderr.buffer.flush()


def _now() -> datetime:
    return datetime.now(UTC)
