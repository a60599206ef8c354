"""Agent: write an agent in Python. Standard library only; this one file may be copied alone.

An agent is a class whose actions are methods; inputs arrive as keywords, outputs leave in `reply`:

    from fleetjobs.agent import Agent, action

    class Demo(Agent):
        @action
        def echo(self, text):
            if not text:
                self.fail("nothing to say")
            self.reply["text"] = text

Beside its interface (`demo.json`) the file is loaded by the runner. As a program of its own, with
`main()` on its last line, it keeps the contract of agents in any language: the environment names
the request to read, the reply to write and where progress goes; see `agents/README.md`.
"""

# A copied file may meet an older Python than the package does; so annotations stay text.
from __future__ import annotations

import importlib.util
import inspect
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, ClassVar, NoReturn, TypeVar, overload

OK, ABORTED, UNKNOWN_ACTION, MISSING_DATA, INVALID_DATA, UNKNOWN_ERROR = range(6)

REQUEST = "FLEETJOBS_REQUEST"  #: names the request document to read
REPLY = "FLEETJOBS_REPLY"  #: names the reply document to write
PROGRESS = "FLEETJOBS_PROGRESS"  #: names the file that progress is appended to
NODE = "FLEETJOBS_NODE"  #: names the document that tells what the node is

LIMIT_OUTPUT = 1024 * 1024  #: bytes of a child's output that `run` gives back

F = TypeVar("F", bound=Callable[..., Any])


class Fail(Exception):
    """The action could not do what was asked: becomes a reply with this status and message."""

    def __init__(self, message: str, status: int = ABORTED) -> None:
        """Keep the message and the SimpleRPC status, 1 to 5."""
        super().__init__(message)
        self.status = status


class Delay(Exception):
    """It is too early for the action: try it again after so many seconds. Costs no attempt."""

    def __init__(self, seconds: float, message: str = "") -> None:
        """Keep the time, 0 to a year, and why, for people."""
        super().__init__(message or f"to be tried again in {seconds:g} s")
        self.seconds = seconds


class Stopped(SystemExit):
    """The node has told the program to stop (SIGTERM): clean up; what `reply` holds is sent."""


class NotLoadable(Exception):
    """The agent's file cannot be imported, or holds no agent."""


@overload
def action(function: F) -> F: ...
@overload
def action(function: str) -> Callable[[F], F]: ...
def action(function: F | str) -> Any:
    """Make a method an action of its own name; `@action("run")` gives it another."""
    if isinstance(function, str):
        return lambda method: _name(method, function)
    return _name(function, function.__name__)


def _name(method: F, name: str) -> F:
    method.fleetjobs_action = name  # type: ignore[attr-defined]  # functions take attributes
    return method


class Node:
    """What the node is, as its worker wrote it down; empty where there is no worker."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        """Take the node document."""
        self.document = document

    @property
    def identity(self) -> str:
        """The node's identity."""
        return str(self.document.get("identity", ""))

    @property
    def started_at(self) -> str | None:
        """When its worker started, RFC 3339."""
        return self.document.get("started_at")

    def facts(self) -> dict[str, Any]:
        """Its facts, nested as they are."""
        return dict(self.document.get("facts", {}))

    def classes(self) -> list[str]:
        """Its classes."""
        return list(self.document.get("classes", []))

    def agents(self) -> dict[str, str]:
        """Its agents, name to version."""
        return dict(self.document.get("agents", {}))

    @classmethod
    def read(cls, path: str | Path | None) -> Node:
        """The node of that document; an empty one if there is no path or no file."""
        try:
            return cls(_read(path) if path else {})
        except FileNotFoundError:
            return cls({})


class Agent:
    """One call of an agent: its request, the reply it builds, and what helps it to act."""

    actions: ClassVar[dict[str, Callable[..., Any]]] = {}

    @classmethod
    def activate(cls) -> bool:
        """Whether the agent can do anything on this machine; asked when the node finds it.

        To give a reason, raise Fail. Two seconds are given to answer.
        """
        return True

    def __init_subclass__(cls) -> None:
        """Collect the methods that are actions."""
        own = {
            method.fleetjobs_action: method
            for method in vars(cls).values()
            if hasattr(method, "fleetjobs_action")
        }
        cls.actions = {**cls.actions, **own}

    def __init__(
        self, request: Mapping[str, Any], node: Node, progress: str | Path | None = None
    ) -> None:
        """Take the request document; `progress` names the file to append to, None: keep none."""
        self.request = request
        self.node = node
        self.reply: dict[str, Any] = {}
        self._progress = progress
        self._next: list[dict[str, Any]] = []

    @property
    def log(self) -> logging.Logger:
        """Writes lines with time and level to standard error: to the log of the run."""
        logger = logging.getLogger(f"fleetjobs_agent.{type(self).__name__}")
        if not logger.handlers:
            handler = logging.StreamHandler(sys.stderr)
            handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
            logger.addHandler(handler)
            logger.setLevel(logging.INFO)
            logger.propagate = False  # the process it is loaded into has logs of its own
        return logger

    def fail(self, message: str, status: int = ABORTED) -> NoReturn:
        """End the action: it could not do what was asked. What `reply` holds is sent along."""
        raise Fail(message, status)

    def progress(self, percent: float, text: str = "") -> None:
        """Tell how far the action has come, 0 to 100."""
        if self._progress:
            line = json.dumps({"percent": percent, "text": text}) + "\n"
            with Path(self._progress).open("a", encoding="utf-8") as file:
                file.write(line)

    def next(
        self,
        action: str,
        data: Mapping[str, Any] | None = None,
        *,
        nodes: Sequence[str] = (),
        delay_s: float = 0,
    ) -> None:
        """Ask for a job that follows this one, if this one succeeds.

        `action` is one of this agent's, or `agent.action`; `nodes` are names, none: this node.
        """
        agent, _, name = action.rpartition(".")
        job: dict[str, Any] = {"action": name, "data": dict(data or {})}
        if agent:
            job["agent"] = agent
        if nodes:
            job["target"] = {"identities": list(nodes)}
        if delay_s:
            job["delay_s"] = delay_s
        self._next.append(job)

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float | None = None,
        stdin: str = "",
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program and wait; never through a shell. `timeout` in seconds, `env` is added.

        At most LIMIT_OUTPUT bytes of each stream are given back. Raises Fail if it cannot be
        started or is over its time; its status is in `returncode`.
        """
        # files, not pipes: a service that it started keeps its streams, and a pipe never ends then
        with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
            try:
                done = subprocess.run(  # argv, never a shell
                    list(argv),
                    input=stdin.encode(),
                    stdout=stdout,
                    stderr=stderr,
                    timeout=timeout,
                    check=False,
                    env={**os.environ, **(env or {})},
                )
            except OSError as error:
                raise Fail(f"{argv[0]} cannot be run: {error.strerror}") from None
            except subprocess.TimeoutExpired:
                raise Fail(f"{argv[0]} took longer than {timeout:g} s") from None
            return subprocess.CompletedProcess(
                done.args, done.returncode, _start_of(stdout), _start_of(stderr)
            )


def _start_of(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read(LIMIT_OUTPUT).decode(errors="replace")


def act(
    agent: type[Agent],
    request: Mapping[str, Any],
    node: Node,
    progress: str | Path | None = None,
) -> dict[str, Any]:
    """Do what the request asks; the reply document, whatever happens.

    A Fail gives its own status, any other exception 5 and its traceback on stderr. What an action
    returns, if it is a dict, is added to `reply`.
    """
    method = agent.actions.get(str(request.get("action")))
    if method is None:
        known = ", ".join(sorted(agent.actions))
        return _reply(UNKNOWN_ACTION, f"no action {request.get('action')!r}; there are: {known}")
    inputs = {name: value for name, value in request["data"].items() if name != "process_results"}
    try:
        _signature(method).bind(None, **inputs)
    except TypeError as error:
        return _reply(INVALID_DATA, f"{request['action']}: {error}")
    return _act(agent(request, node, progress), method, inputs)


_signature = lru_cache(maxsize=100)(inspect.signature)


def _act(self: Agent, method: Callable[..., Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    try:
        result = method(self, **inputs)
    except Fail as fail:
        return _reply(fail.status, str(fail), self.reply)
    except Delay as delay:
        return {**_reply(ABORTED, str(delay), self.reply), "delay_s": delay.seconds}
    except Stopped:
        return _reply(ABORTED, "stopped", self.reply)
    except Exception as error:  # noqa: BLE001  the rim: an agent may raise anything
        traceback.print_exc()
        return _reply(UNKNOWN_ERROR, f"{type(error).__name__}: {error}", self.reply)
    reply = _reply(OK, "OK", {**self.reply, **(result if isinstance(result, dict) else {})})
    following = self._next
    return {**reply, "next": following} if following else reply


def _reply(status: int, message: str, data: Mapping[str, Any] | None = None) -> dict[str, Any]:
    said = message.encode("utf-8", "backslashreplace").decode()  # names of files need not be UTF-8
    return {"statuscode": status, "statusmsg": said, "data": dict(data or {})}


def load(path: str | Path) -> type[Agent]:
    """The agent in a file: the one class derived from Agent. Raises NotLoadable and says why.

    It can import what lies beside it; such a file should begin with the agent's name, since a
    worker has several agents in one process.
    """
    name = f"fleetjobs_agent_{Path(path).stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise NotLoadable(f"{path} is not a Python file")
    if str(Path(path).parent) not in sys.path:
        sys.path.append(str(Path(path).parent))  # an agent may have modules beside it
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look their module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise NotLoadable(f"{path}: {type(error).__name__}: {error}") from error
    return _only_agent(vars(module), name, path)


def _only_agent(names: Mapping[str, Any], module: str, path: str | Path) -> type[Agent]:
    found = [
        value
        for value in names.values()
        if isinstance(value, type) and issubclass(value, Agent) and value.__module__ == module
    ]
    if len(found) != 1:
        raise NotLoadable(f"{path}: holds {len(found)} classes derived from Agent, not one")
    return found[0]


def serve(agent: type[Agent], environ: Mapping[str, str] = os.environ) -> None:
    """Answer the one request that the environment names.

    SIGTERM raises Stopped in the action: `finally` blocks run, what it had put into its reply is
    sent, and Stopped is raised again at the end, so that the process ends by it.
    """
    stopped = []

    def stop(number: int, _frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough
        stopped.append(number)
        raise Stopped(128 + number)

    request = _read(environ[REQUEST])
    node = Node.read(environ.get(NODE))
    signal.signal(signal.SIGTERM, stop)
    reply = act(agent, request, node, environ.get(PROGRESS))
    sys.stdout.flush()
    sys.stderr.flush()
    _write(Path(environ[REPLY]), reply)
    if stopped:
        raise Stopped(128 + stopped[0])


def answer_activation(path: str, environ: Mapping[str, str] = os.environ) -> None:
    """Tell whether the agent in a file can be here; where to is in the environment.

    One that cannot even be loaded is: who calls it will be told why it fails.
    """
    try:
        wants = load(path).activate()
        answer: dict[str, Any] = {"activate": wants is not False}
    except NotLoadable:
        answer = {"activate": True}
    except Exception as error:  # noqa: BLE001  the rim: an agent may raise anything
        if not isinstance(error, Fail):
            traceback.print_exc()
        answer = {"activate": False, "why": str(error) or type(error).__name__}
    _write(Path(environ[REPLY]), answer)


def main() -> None:
    """Be a program: what an agent that is one calls on its last line."""
    if REQUEST not in os.environ or REPLY not in os.environ:
        sys.exit(f"an agent is run with {REQUEST} and {REPLY} in its environment")
    serve(_only_agent(vars(sys.modules["__main__"]), "__main__", sys.argv[0]))


def _read(path: str | Path) -> dict[str, Any]:
    with Path(path).open("rb") as file:
        document: dict[str, Any] = json.load(file)
    return document


def _write(path: Path, document: Mapping[str, Any]) -> None:
    """Write aside and rename: whoever looks sees all of it or nothing."""
    aside = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        text = json.dumps(document, allow_nan=False)
    except (TypeError, ValueError) as error:
        text = json.dumps(_reply(UNKNOWN_ERROR, f"the reply is not JSON: {error}"))
    aside.write_text(text, encoding="utf-8")
    aside.rename(path)
