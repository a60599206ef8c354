"""Agent: begin one, check it, try it; on this machine, without a fleet.

    python -m fleetjobs.programs.agent new NAME --language LANGUAGE [--directory DIRECTORY]
    python -m fleetjobs.programs.agent check [--json] PATH...
    python -m fleetjobs.programs.agent run [--json] PATH ACTION [NAME=VALUE]...

`fj agent` has the same words, with help; `cli.agents` describes them.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from fleetjobs.cli.documents import in_json
from fleetjobs.cli.exits import Exit
from fleetjobs.cli.failures import complain
from fleetjobs.cli.printing import Texts
from fleetjobs.cli.screen import Screen, clean, line, stderr, stdout
from fleetjobs.client.replies import Reply as Replied
from fleetjobs.contract import Progress
from fleetjobs.errors import Fault, InvalidInput
from fleetjobs.messages import Reply
from fleetjobs.programs.arguments import Parser
from fleetjobs.programs.beginnings import LANGUAGES, begin_agent
from fleetjobs.programs.checking import check_agent, write_finding, write_summary
from fleetjobs.programs.trial import find_agents, remedies, trial
from fleetjobs.states import State


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(prog="fj agent", description="Write agents.")
    words = parser.add_subparsers(dest="word", required=True)
    new = words.add_parser("new")
    new.add_argument("name")
    new.add_argument("--language", choices=list(LANGUAGES), required=True)
    new.add_argument("--directory", type=Path, default=Path())
    check = words.add_parser("check")
    check.add_argument("paths", type=Path, nargs="+")
    check.add_argument("--json", action="store_true")
    run = words.add_parser("run")
    run.add_argument("path", type=Path)
    run.add_argument("action")
    run.add_argument("inputs", nargs="*")
    run.add_argument("--json", action="store_true")
    run.add_argument("--attempt", type=int, default=1)
    run.add_argument("--env", action="append", default=[])
    run.add_argument("--node", type=Path)
    return parser


def new(options: argparse.Namespace) -> int:
    """Write a new agent, and say how to go on."""
    place, left = begin_agent(options.name, options.language, options.directory)
    screen = stdout()
    screen.write(f"{screen.paint(str(place), 'bold')} is an agent in {options.language}:")
    for path in sorted(place.rglob("*")):
        if path.is_file():
            screen.write(f"   {path.relative_to(place)}")
    for text in left:
        stderr().write(stderr().paint(line(text), "yellow"))
    screen.write("Try it:")
    screen.write(f"   fj agent check {place}")
    screen.write(f"   fj agent run {place} greet name=Ada")
    return Exit.OK


def check(options: argparse.Namespace) -> int:
    """Check agents; whether all are good."""
    screen = stdout()
    directories = [found for path in options.paths for found in find_agents(path)]
    findings = []
    for directory in directories:
        finding = check_agent(directory)
        findings.append(finding)
        if not options.json:
            write_finding(screen, finding)
            screen.flush()
    if options.json:
        screen.write(in_json({"items": [finding.document() for finding in findings]}))
    else:
        screen.write()
        write_summary(screen, findings)
    return Exit.OK if all(finding.is_good for finding in findings) else Exit.FAILED


def run(options: argparse.Namespace) -> int:
    """Try one action; whether it succeeded."""
    directories = find_agents(options.path)
    if len(directories) > 1:
        names = ", ".join(directory.name for directory in directories)
        raise InvalidInput(f"{options.path} holds several agents, name one of them: {names}")
    [directory] = directories
    try:
        with trial(directory) as place:
            tried = place.with_variables(dict(_variable(word) for word in options.env))
            if options.node is not None:
                tried = tried.with_node(_document(options.node))
            declared = tried.agent.interface.action(options.action)
            data = declared.parse(options.inputs)
            reply = tried.act(
                options.action, data, attempt=options.attempt, shown=_show, told=_tell
            )
    except Fault as fault:
        for text in remedies(directory) or [f"`fj doc {options.path}` tells what it takes"]:
            fault.add_note(text)
        raise
    if options.json:
        document = msgspec.to_builtins(reply, builtin_types=(datetime,))
        stdout().write(in_json(json.loads(json.dumps(document, default=str))))
    else:
        _write(stdout(), Texts(stdout(), declared), reply)
    return Exit.OK if reply.state is State.SUCCEEDED else Exit.FAILED


def _write(screen: Screen, texts: Texts, reply: Reply) -> None:
    """The reply as `fj rpc` shows one."""
    replied = Replied(
        sender=reply.node,
        statuscode=reply.statuscode,
        statusmsg=reply.statusmsg,
        data=reply.data,
        state=reply.state or State.FAILED,
        reason=reply.reason,
        exit_code=reply.exit_code,
    )
    screen.write(texts.reply(replied, 0).rstrip("\n"))
    if reply.delay_s is not None:
        screen.write(f"   asks to be tried again in {reply.delay_s:g} s")
    for job in reply.next:
        words = " ".join(f"{name}={in_json(value, None)}" for name, value in job.data.items())
        screen.write(line(f"   asks for {job.agent}.{job.action} {words}").rstrip())


def _show(content: bytes) -> None:
    sys.stderr.write(clean(content.decode("utf-8", "replace")))
    sys.stderr.flush()


def _tell(progress: Progress) -> None:
    screen = stderr()
    percent = "" if progress.percent is None else f"{progress.percent:.0f} %"
    screen.write(screen.paint(line(f"progress {percent} {progress.text}"), "dim"))
    screen.flush()


def _variable(word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not equals or not name:
        raise InvalidInput(f"--env {word!r:.70}: write NAME=VALUE")
    return name, value


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidInput(f"--node {path}: {error}") from None
    if not isinstance(document, dict):
        raise InvalidInput(f"--node {path}: a node is a JSON object: identity, facts, classes")
    return document


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the first word says; the exit status."""
    options = make_parser().parse_args(arguments)
    try:
        return {"new": new, "check": check, "run": run}[options.word](options)
    except (Fault, OSError) as error:
        complain(stderr(), "fj", error)
        return Exit.ERROR
    except KeyboardInterrupt:
        return Exit.INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
