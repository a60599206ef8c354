"""External: Choria's External Agent protocol v1, so that agents in the wild run unchanged.

What they were written against is the behaviour of its daemon, quirks included; where that loses
a reply, the caller gets one here. docs/external-agents.md names the differences.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from fleetjobs.layouts import Agent
from fleetjobs.messages import Output
from fleetjobs.node.protocols.words import Asked, Call, Task, write_new
from fleetjobs.node.reply_files import fault_in, read_raw
from fleetjobs.node.verdict import Ending, Verdict, cut_short, exit_text, fail, judge_status
from fleetjobs.node.workplace import PATH, Workplace
from fleetjobs.states import Reason

PROTOCOL = "io.choria.mcorpc.external.v1"
SCHEMAS = "https://choria.io/schemas/mcorpc/external/v1"
ACTIVATION, REQUEST = "activation_request", "rpc_request"
SENDER = "fleetjobs"  #: there is no client machine whose name it could be


class ExternalReply(Struct, frozen=True, kw_only=True):
    """What a program writes; other keys, such as `disableresponse`, mean nothing."""

    statuscode: Annotated[int, Meta(ge=0, le=255)] | None = 0
    statusmsg: str | None = ""
    data: dict[str, Any] | None = None


class ExternalProtocol:
    """Calls external agents."""

    def __init__(self, workplace: Workplace) -> None:
        self._workplace = workplace

    def mark(self, run: Path) -> str:
        """See AgentProtocol."""
        return f"CHORIA_EXTERNAL_REQUEST={run / 'request.json'}"

    def prepare(self, task: Task) -> Call:
        """See AgentProtocol."""
        facts = _facts(self._workplace.node_file)
        return prepare_call(
            task.agent,
            task.run,
            REQUEST,
            request_of(task),
            plugins=self._workplace.plugin_d,
            facts=facts,
            more={**self._workplace.additions(task.agent.name), **self._workplace.variables},
        )

    def read(self, run: Path) -> ExternalReply | str:
        """See AgentProtocol."""
        raw = read_raw(run / "reply.json")
        if isinstance(raw, str):
            return raw
        if not raw:
            return "it left no reply"
        try:
            reply = msgspec.json.decode(raw, type=ExternalReply)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return f"its reply cannot be read: {error}"
        return fault_in(reply.data or {}, raw) or reply

    def judge(
        self, ending: Ending, reply: ExternalReply | str, asked: Asked | None, err: Output | None
    ) -> Verdict:
        """See AgentProtocol. A program that ends otherwise than with 0 has said nothing."""
        del err  # it is a log and no more
        name = asked.agent.name if asked else "it"
        called = f"Could not call external agent {name}"
        called += f"#{asked.action.name}" if asked else ""
        if ending.trouble:
            why = f"{called}: executing {name} failed: {ending.trouble}"
            return fail(Reason.LOAD_ERROR, why)
        data = {} if isinstance(reply, str) else reply.data or {}
        action = asked.action if asked else None
        verdict = cut_short(ending, data, action)
        if verdict is None and ending.exit_code:
            code = ending.exit_code
            how = f"exit status {code}" if code > 0 else exit_text(code)
            verdict = fail(Reason.EXIT_CODE, f"{called}: executing {name} failed: {how}")
        if verdict is None and isinstance(reply, ExternalReply):
            data = action.with_output_defaults(data) if action else data
            verdict = judge_status(reply.statuscode or 0, reply.statusmsg or "", data)
        return replace(verdict or _silent(called, ending, reply), exit_code=ending.exit_code)


def _silent(called: str, ending: Ending, why: object) -> Verdict:
    """Of a program that ended with 0, or unseen, and left nothing that can be read."""
    if ending.exit_code is None:
        return fail(Reason.INTERRUPTED, f"{called}: its runner was killed, and {why}")
    return fail(Reason.NO_REPLY, f"{called}: {why}")


def request_of(task: Task) -> dict[str, Any]:
    """The request as an external agent reads it.

    Its time is that of its beginning: a job may have waited for days, and an agent that looks at
    it wants to know whether somebody still waits.
    """
    request = task.request
    return {
        "$schema": f"{SCHEMAS}/{REQUEST}.json",
        "protocol": f"{PROTOCOL}.{REQUEST}",
        "agent": request.agent,
        "action": request.action,
        "requestid": request.id.replace("-", ""),
        "senderid": SENDER,
        "callerid": f"fleetjobs={request.caller}",
        "collective": request.org,
        "ttl": max(1, int(task.action.timeout.total_seconds())),
        "msgtime": int(datetime.timestamp(task.begins_at)),
        "data": task.action.with_defaults(request.data),
    }


def activation_of(agent: Agent) -> dict[str, Any]:
    """The question whether an agent wants to be here."""
    return {
        "$schema": f"{SCHEMAS}/{ACTIVATION}.json",
        "protocol": f"{PROTOCOL}.{ACTIVATION}",
        "agent": agent.name,
    }


def prepare_call(
    agent: Agent,
    place: Path,
    kind: str,
    document: dict[str, Any],
    *,
    plugins: Path,
    facts: bytes = b"",
    more: Mapping[str, str] = MappingProxyType({}),
) -> Call:
    """Write what a program reads into the place; how to call it. Raises OSError.

    `more` is added to its environment: what the owner of the node wants there.
    """
    request, reply, known = (place / name for name in ("request.json", "reply.json", "facts.json"))
    write_new(request, json.dumps(document, ensure_ascii=False).encode())
    write_new(reply)
    write_new(known, facts)
    return Call(
        # the third word says rpc_request for activations too, as Choria has it
        argv=(str(agent.program), str(request), str(reply), f"{PROTOCOL}.{REQUEST}"),
        environment={
            "PATH": os.environ.get("PATH", PATH),
            **more,
            "CHORIA_EXTERNAL_PROTOCOL": f"{PROTOCOL}.{kind}",
            "CHORIA_EXTERNAL_REQUEST": str(request),
            "CHORIA_EXTERNAL_REPLY": str(reply),
            "CHORIA_EXTERNAL_CONFIG": str(plugins / agent.name),  # without .cfg, as Choria has it
            "CHORIA_EXTERNAL_FACTS": str(known),
        },
        directory=Path(tempfile.gettempdir()),
    )


def _facts(node_file: Path) -> bytes:
    """The node's facts as they are now; none if the node has told none yet."""
    try:
        facts = json.loads(node_file.read_bytes())["facts"]
    except (OSError, ValueError, KeyError, TypeError):
        facts = {}
    return json.dumps(facts).encode()
