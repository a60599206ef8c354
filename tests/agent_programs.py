"""Agent programs: agents called by the contract of agents/README.md, as a runner would.

Nothing here knows the runner: what passes here is what the page promises.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleetjobs.interfaces import Interface, read_interface
from tests.conftest import refuse_or_skip

ROOT = Path(__file__).parents[1]
DIRECTORIES = sorted(
    path.parent
    for pattern in ("agents/*/*.json", "docs/examples/*/*.json")
    for path in ROOT.glob(pattern)
    if path.with_suffix("").exists() or path.with_suffix(".py").exists()  # one is yet to compile
)
#: what examples are written in, and the program that runs or makes them
LANGUAGES = {
    "python": "python3",
    "shell": "sh",
    "perl": "perl",
    "ruby": "ruby",
    "node": "node",
    "c": "cc",
}
JOB = "0193d2a8-7c1e-7d3a-9b1c-2f4e6a8c0b1d"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """What came of a call."""

    exit_code: int
    stdout: bytes
    stderr: bytes
    reply: dict[str, Any] | None  # None: none was written
    progress: list[dict[str, Any]]

    @property
    def data(self) -> dict[str, Any]:
        """The reply's data."""
        assert self.reply is not None, self.stderr.decode(errors="replace")
        data: dict[str, Any] = self.reply["data"]
        return data


def interface_of(directory: Path) -> Interface:
    """What the agent in that directory declares."""
    return read_interface(json.loads((directory / f"{directory.name}.json").read_text()))


def command_of(directory: Path) -> list[str]:
    """The agent's program: the executable of its name, else its Python file."""
    program = directory / directory.name
    return [str(program)] if program.exists() else [sys.executable, str(program.with_suffix(".py"))]


def require_interpreter(directory: Path) -> None:
    """Skip at a desk, and fail where CI is set, if what runs the agent is not installed."""
    language = directory.name.removeprefix("hello_")
    require_language(language if language in LANGUAGES else "shell")


def require_language(language: str) -> None:
    """The same, of a language."""
    if shutil.which(LANGUAGES[language]) is None:
        refuse_or_skip(f"{LANGUAGES[language]} is not installed")


def prepare(
    directory: Path,
    work: Path,
    action: str,
    data: Mapping[str, Any],
    *,
    attempt: int = 1,
    job: str = JOB,
    node: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Write the request into the work directory; the environment that names it."""
    declared = interface_of(directory).action(action)
    declared.check(data)
    request = {
        "job": job,
        "node": "web1.example.net",
        "attempt": attempt,
        "caller": "ada",
        "org": "acme",
        "agent": directory.name,
        "action": action,
        "data": declared.with_defaults(data),
    }
    work.mkdir(exist_ok=True)
    (work / "request.json").write_text(json.dumps(request))
    (work / "node.json").write_text(json.dumps(node or {}))
    return {
        "PATH": PATH,
        "LANG": "C.UTF-8",
        "HOME": os.environ.get("HOME", "/"),
        "FLEETJOBS_REQUEST": str(work / "request.json"),
        "FLEETJOBS_REPLY": str(work / "reply.json"),
        "FLEETJOBS_PROGRESS": str(work / "progress"),
        "FLEETJOBS_NODE": str(work / "node.json"),
        **(env or {}),
    }


def call(directory: Path, work: Path, action: str, data: Mapping[str, Any], **more: Any) -> Called:
    """Call an action and wait for its end; `more` goes to `prepare`."""
    environment = prepare(directory, work, action, data, **more)
    done = subprocess.run(
        command_of(directory),
        cwd=work,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    return Called(
        exit_code=done.returncode,
        stdout=done.stdout,
        stderr=done.stderr,
        reply=take_reply(work),
        progress=[json.loads(line) for line in _lines(work / "progress")],
    )


def take_reply(work: Path) -> dict[str, Any] | None:
    """The reply that was left, and no more: the next call starts without one."""
    path = work / "reply.json"
    if not path.exists():
        return None
    reply: dict[str, Any] = json.loads(path.read_text())
    path.unlink()
    return reply


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []
