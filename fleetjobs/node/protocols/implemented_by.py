"""Implemented by: the scripts that MCollective agents in Ruby name for their actions."""

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from fleetjobs.messages import Output
from fleetjobs.node.protocols.external import SENDER
from fleetjobs.node.protocols.words import Asked, Call, Task, write_new
from fleetjobs.node.reply_files import fault_in, read_raw
from fleetjobs.node.verdict import Ending, Verdict, cut_short, exit_text, fail, judge_status
from fleetjobs.node.workplace import Workplace
from fleetjobs.states import Reason, Status

PREFIX = "FLEETJOBS_"  #: of variables that are ours; they may hold what no script may see


class ScriptProtocol:
    """Calls scripts as MCollective's daemon does."""

    def __init__(self, workplace: Workplace) -> None:
        self._workplace = workplace

    def mark(self, run: Path) -> str:
        """See AgentProtocol."""
        return f"MCOLLECTIVE_REQUEST_FILE={run / 'request.json'}"

    def prepare(self, task: Task) -> Call:
        """See AgentProtocol."""
        script = task.agent.script(task.action.name)
        request, reply = task.run / "request.json", task.run / "reply.json"
        write_new(request, msgspec.json.encode(request_of(task)))
        write_new(reply)
        ours = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        return Call(
            argv=(str(script), str(request), str(reply)),
            environment={
                **ours,
                **self._workplace.additions(task.agent.name),
                **self._workplace.variables,
                "LC_ALL": "C",
                "MCOLLECTIVE_REQUEST_FILE": str(request),
                "MCOLLECTIVE_REPLY_FILE": str(reply),
            },
            directory=Path(tempfile.gettempdir()),
        )

    def read(self, run: Path) -> dict[str, Any] | str:
        """See AgentProtocol. What is not JSON is no data, and no failure."""
        raw = read_raw(run / "reply.json")
        if isinstance(raw, str):
            return {} if raw == "it left no reply" else raw
        try:
            data = msgspec.json.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return {}
        except RecursionError:
            return "its reply cannot be read: it is nested too deeply"
        if not isinstance(data, dict):
            return "its reply is not an object"
        return fault_in(data, raw) or data

    def judge(
        self, ending: Ending, reply: dict[str, Any] | str, asked: Asked | None, err: Output | None
    ) -> Verdict:
        """See AgentProtocol. The exit status is the status of the reply."""
        failed = "Failed to run " + (asked.agent.scripts[asked.action.name] if asked else "it")
        if ending.trouble:
            return fail(Reason.LOAD_ERROR, f"{failed}: {ending.trouble}")
        data = {} if isinstance(reply, str) else reply
        verdict = cut_short(ending, data, asked.action if asked else None)
        if verdict is not None:
            return replace(verdict, exit_code=ending.exit_code)
        whole = asked.action.with_output_defaults(data) if asked else data
        if ending.exit_code is None:
            why = f"{failed}: its runner was killed, and its exit status is not known"
            verdict = replace(fail(Reason.INTERRUPTED, why, Status.UNKNOWN_ERROR), data=whole)
        elif ending.exit_code < 0:
            why = f"{failed}: {exit_text(ending.exit_code)}"
            verdict = replace(fail(Reason.EXIT_CODE, why), data=whole)
        elif ending.exit_code:
            said = err.content.decode("utf-8", "replace") if err else ""
            verdict = judge_status(ending.exit_code, f"{failed}: {said}", whole)
        elif isinstance(reply, str):
            verdict = replace(fail(Reason.NO_REPLY, f"{failed}: {reply}"), data=whole)
        else:
            verdict = judge_status(0, "OK", whole)
        return replace(verdict, exit_code=ending.exit_code)


def request_of(task: Task) -> dict[str, Any]:
    """The request as MCollective writes it: the caller is never told, by a mistake of its own."""
    return {
        "agent": task.request.agent,
        "action": task.request.action,
        "data": {"process_results": True, **task.action.with_defaults(task.request.data)},
        "sender": SENDER,
        "callerid": None,
        "uniqid": task.request.id.replace("-", ""),
    }
