"""Cases: what has to come out of an agent's actions, as `cases/*.json` says; agents/README.md."""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from fleetjobs.errors import Fault, InvalidDocument
from fleetjobs.messages import Output, Reply
from fleetjobs.programs.trial import Trial
from fleetjobs.states import Reason

TYPES: dict[str, tuple[type, ...]] = {
    "<integer>": (int,),
    "<number>": (int, float),
    "<string>": (str,),
}
SILENT = frozenset({Reason.NO_REPLY, Reason.EXIT_CODE, Reason.TIMEOUT, Reason.LOAD_ERROR})
_LONGEST = 500  # characters of what is told of an output


class Asked(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The part of a request that a case gives."""

    action: str
    data: dict[str, Any] = {}


class Case(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request, and what has to come of it."""

    request: Asked
    reply: dict[str, Any] | None  # what it holds at least; None: there is none
    attempt: int = 1
    node: dict[str, Any] = {}
    env: dict[str, str] = {}
    files: dict[str, str] = {}  # name to content, in $DIR
    exit_code: int = 0
    stdout: str | None = None  # None: anything
    stderr: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a case."""

    name: str
    problems: list[str]  # nothing: it came out as written


def case_files(directory: Path) -> list[Path]:
    """The cases of the agent in that directory."""
    return sorted((directory / "cases").glob("*.json"))


def try_case(trial: Trial, path: Path) -> Outcome:
    """Act as the case says, and compare."""
    with tempfile.TemporaryDirectory(prefix="fleetjobs-case-") as directory:
        try:
            case = read_case(path, Path(directory))
            for name, content in case.files.items():
                place = Path(directory, name)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(content, encoding="utf-8")
            trial = trial.with_variables(case.env).with_node(case.node)
            reply = trial.act(case.request.action, case.request.data, attempt=case.attempt)
        except Fault as fault:
            return Outcome(path.stem, [str(fault)])
    return Outcome(path.stem, list(_problems(case, reply, trial)))


def read_case(path: Path, directory: Path) -> Case:
    """The case in a file; `$DIR` in it stands for the directory. Raises InvalidDocument."""
    try:
        text = path.read_text(encoding="utf-8").replace("$DIR", str(directory))
        return msgspec.json.decode(text, type=Case)
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError) as error:
        raise InvalidDocument(f"{path.name} is no case: {error}") from None


def _problems(case: Case, reply: Reply, trial: Trial) -> Iterator[str]:
    declared = trial.agent.interface.action(case.request.action)
    exit_code = reply.exit_code or 0
    if exit_code != case.exit_code:
        yield f"it ended with status {exit_code}, not {case.exit_code}"
    yield from _stream("stdout", reply.stdout, case.stdout)
    yield from _stream("stderr", reply.stderr, case.stderr)
    if case.reply is None:
        if reply.reason not in SILENT:
            yield f"there is a reply, and none is expected: {reply.statusmsg}"
        return
    told = {
        "statuscode": reply.statuscode,
        "statusmsg": reply.statusmsg,
        "data": reply.data,
        "delay_s": reply.delay_s,
        "next": msgspec.to_builtins(reply.next),
    }
    differences = list(differing(told, case.reply, "reply"))
    yield from differences
    if differences and reply.statuscode and "statusmsg" not in case.reply:
        yield f"it says: {reply.statusmsg}"
    more = sorted(set(reply.data) - set(declared.outputs))
    if more:
        yield f"the interface declares no output {', '.join(more)}"
    missing = sorted(set(declared.outputs) - set(reply.data))
    if missing and not reply.statuscode:
        yield f"it succeeded without {', '.join(missing)}, which the interface declares"


def _stream(name: str, output: Output | None, wanted: str | None) -> Iterator[str]:
    text = output.content.decode("utf-8", "replace") if output else ""
    if wanted is not None and text != wanted:
        yield f"{name} is {text[:_LONGEST]!r}, not {wanted[:_LONGEST]!r}"


def differing(found: Any, wanted: Any, place: str) -> Iterator[str]:
    """Where what was found does not hold what is wanted: objects may hold more."""
    if isinstance(wanted, dict):
        if not isinstance(found, dict):
            yield f"{place} is {_short(found)}, not an object"
            return
        for key, value in wanted.items():
            if key in found:
                yield from differing(found[key], value, f"{place}.{key}")
            else:
                yield f"{place} has no {key}"
    elif isinstance(wanted, str) and wanted in TYPES:
        if not isinstance(found, TYPES[wanted]) or isinstance(found, bool):
            yield f"{place} is {_short(found)}, not {wanted}"
    elif found != wanted:
        yield f"{place} is {_short(found)}, not {_short(wanted)}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
