"""Foreground: what a node can tell and do alone, with worker, broker and server down."""

import json
import sys
from datetime import UTC, datetime
from getpass import getuser
from pathlib import Path
from typing import Any

import msgspec
from uuid_utils import uuid7

from fleetjobs.documents import decode
from fleetjobs.errors import Fault, InvalidDocument, InvalidSetting
from fleetjobs.installed import Installed
from fleetjobs.messages import RunReport
from fleetjobs.names import node_id
from fleetjobs.node.reading import reports
from fleetjobs.programs.alone import Alone, now
from fleetjobs.programs.settings import NodeSettings
from fleetjobs.programs.workplaces import workplace_of
from fleetjobs.registry import Registry
from fleetjobs.requests import Request
from fleetjobs.signing import SigningKey, node_key_id
from fleetjobs.spool.spool import Spool
from fleetjobs.states import State

FAILED = 2  #: exit status when the action did not succeed


def show_key(settings: NodeSettings) -> int:
    """Print the public half of the node's key; it is made if there is none. Raises Fault."""
    key_id = node_key_id(node_id(settings.identity))
    try:
        if not settings.key.exists():
            SigningKey.generate(key_id).save(settings.key)
    except OSError as error:
        raise InvalidSetting(f"the key {settings.key} cannot be kept: {error}") from None
    key = SigningKey.load(key_id, settings.key).verify_key.text
    sys.stdout.write(f"{key}\n")
    sys.stderr.write(f"let it in: fj node enroll {settings.identity} --verify-key={key}\n")
    return 0


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
    request = read_request(path)
    registry = Registry(workplace.agents, workplace.libdirs, installed=Installed())
    registry.agent(request.agent).interface.action(request.action).check(request.data)
    reply = Alone(workplace=workplace, registry=registry, shown=_show).carry_out(request)
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
        "created_at": f"{now():%FT%TZ}",
        **document,
    }
    try:
        return decode(Request, json.dumps(whole).encode())
    except Fault as fault:
        raise InvalidDocument(f"{path}: {fault}") from None


def _show(content: bytes) -> None:
    sys.stderr.buffer.write(content)
    sys.stderr.buffer.flush()
