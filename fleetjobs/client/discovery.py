"""External discovery: a program that names the nodes, as Choria asks such programs.

`PROGRAM [ARGS…] REQUEST REPLY io.choria.choria.discovery.v1.external_request`, with both files
named in CHORIA_EXTERNAL_REQUEST and _REPLY, too, and the protocol in CHORIA_EXTERNAL_PROTOCOL.
What it writes to its streams goes to standard error.
"""

import json
import os
import shlex
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from fleetjobs.errors import InvalidInput, NoNodes, NotDiscovered
from fleetjobs.facts import read_condition
from fleetjobs.nodelists import LONGEST
from fleetjobs.targets import MOST_IDENTITIES, NAME, Target
from fleetjobs.values import read_json

PROTOCOL = "io.choria.choria.discovery.v1"
REQUEST = f"{PROTOCOL}.external_request"
SCHEMA = "https://choria.io/schemas/choria/discovery/v1/external_request.json"
TIMEOUT_S = 30.0  #: that a program may take


def discover(
    command: str, target: Target, *, org: str, timeout_s: float = TIMEOUT_S
) -> tuple[str, ...]:
    """The names that the program gives, each once; the target's other parts are told to it.

    Raises NotDiscovered if it fails or says so; NoNodes if it names none.
    """
    words = _words(command)
    with tempfile.TemporaryDirectory(prefix="fleetjobs-discover-") as place:
        request, reply = Path(place, "request.json"), Path(place, "reply.json")
        request.write_text(json.dumps(_request(target, org, timeout_s)), "utf-8")
        reply.touch(mode=0o600)
        _run(words, request, reply, timeout_s)
        document = _read(words[0], reply)
    return _names(words[0], document)


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise NotDiscovered(f"{command!r} cannot be run: {error}") from None
    if not words:
        raise NotDiscovered("no program was named that would name the nodes")
    return words


def _request(target: Target, org: str, timeout_s: float) -> dict[str, Any]:
    conditions = [read_condition(text) for text in target.facts]
    return {
        "$schema": SCHEMA,
        "protocol": REQUEST,
        "collective": target.org or org,
        "timeout": int(timeout_s),
        "options": {},
        "filter": {
            "fact": [
                {"fact": each.fact, "operator": each.operator, "value": each.value}
                for each in conditions
            ],
            "cf_class": list(target.classes),
            "agent": list(target.agents),
            "identity": [],
            "compound": [[{"expr": target.compound}]] if target.compound else [],
        },
    }


def _run(words: list[str], request: Path, reply: Path, timeout_s: float) -> None:
    """Have it write the reply. Raises NotDiscovered."""
    environment = {
        **os.environ,
        "CHORIA_EXTERNAL_PROTOCOL": REQUEST,
        "CHORIA_EXTERNAL_REQUEST": str(request),
        "CHORIA_EXTERNAL_REPLY": str(reply),
    }
    try:
        process = subprocess.Popen(
            [*words, request, reply, REQUEST],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=2,  # standard error: our output may be data
            start_new_session=True,
        )
    except OSError as error:
        raise NotDiscovered(f"{words[0]} cannot be run: {error.strerror}") from None
    try:
        status = process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        raise NotDiscovered(f"{words[0]} named no nodes within {timeout_s:g} s") from None
    finally:
        with suppress(ProcessLookupError):  # also what it has left behind
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if status:
        raise NotDiscovered(f"{words[0]} named no nodes: it ended with {status}")


def _read(program: str, reply: Path) -> dict[str, Any]:
    try:
        with reply.open("rb") as file:
            raw = file.read(LONGEST + 1)
        if len(raw) > LONGEST:
            raise NotDiscovered(f"{program} wrote more than {LONGEST} bytes")
        document = read_json(raw.decode(), "the reply")
    except (OSError, UnicodeDecodeError, InvalidInput) as error:
        raise NotDiscovered(f"{program} left no reply that can be read: {error}") from None
    if not isinstance(document, dict):
        raise NotDiscovered(f"{program} left a reply that is no object")
    return document


def _names(program: str, document: dict[str, Any]) -> tuple[str, ...]:
    if document.get("error"):
        raise NotDiscovered(f"{program} says: {document['error']}")
    names = document.get("nodes") or []
    if not isinstance(names, list) or not all(
        isinstance(name, str) and NAME.match(name) for name in names
    ):
        raise NotDiscovered(f"{program} named what can be no node")
    if not names:
        raise NoNodes(f"{program} names no node")
    if len(names) > MOST_IDENTITIES:
        raise NotDiscovered(f"{program} named {len(names)} nodes; {MOST_IDENTITIES} are allowed")
    return tuple(dict.fromkeys(names))
