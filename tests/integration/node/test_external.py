"""External agents and scripts of MCollective, in real processes: what they get and what counts."""

import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from fleetjobs.messages import Reply
from fleetjobs.states import Reason, State
from tests.wild import ddl, put_external, put_script
from tests.workbench import Desk, make_key, wait_for

#: writes down all that it is given, and what it was called with
SPY = """#!/bin/sh
printf '%s\\n' "$@" > {out}/words
/usr/bin/env -u PWD -u OLDPWD -u SHLVL -u _ > {out}/env
pwd -P > {out}/pwd
readlink /proc/$$/fd/0 > {out}/stdin
cat "$1" > {out}/request
cat "$2" > {out}/reply
cat "${{CHORIA_EXTERNAL_FACTS:-/dev/null}}" > {out}/facts
echo said; echo shouted >&2
{more}
"""


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where a spy writes."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def external(desk: Desk, program: str, document: dict[str, Any] | None = None) -> None:
    """An external agent `wild`."""
    put_external(desk.root / "libdir" / "mcollective" / "agent", "wild", program, document)


def run(desk: Desk, script: str, **metadata: Any) -> Reply:
    """What comes of an external agent in shell."""
    external(desk, f"#!/bin/sh\n{script}\n", ddl("wild", **metadata))
    return desk.do(agent="wild", action="say", msg="hi")


@pytest.mark.spec("EA-04", "EA-05", "EA-06", "EA-08", "EA-10")
def test_an_external_program_is_called_as_under_choria(
    desk: Desk, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEETJOBS_NODE_BROKER", "secret")
    monkeypatch.setenv("HOME", "/nowhere")
    reply = 'echo \'{"statuscode": 0, "statusmsg": "OK", "data": {"result": "hi"}}\' > "$2"'
    external(desk, SPY.format(out=out, more=reply))
    key = make_key()
    before = int(time.time())

    run = desk.accept(key, agent="wild", action="say", process_results=True)
    answered = desk.reply(run)

    assert (answered.state, answered.statusmsg) == (State.SUCCEEDED, "OK")
    request, reply_file = run.path / "request.json", run.path / "reply.json"
    words = (out / "words").read_text().splitlines()
    assert words == [str(request), str(reply_file), "io.choria.mcorpc.external.v1.rpc_request"]
    environment = dict(line.split("=", 1) for line in (out / "env").read_text().splitlines())
    assert environment == {
        "PATH": os.environ["PATH"],
        "CHORIA_EXTERNAL_PROTOCOL": "io.choria.mcorpc.external.v1.rpc_request",
        "CHORIA_EXTERNAL_REQUEST": str(request),
        "CHORIA_EXTERNAL_REPLY": str(reply_file),
        "CHORIA_EXTERNAL_CONFIG": str(desk.root / "plugin.d" / "wild"),
        "CHORIA_EXTERNAL_FACTS": str(run.path / "facts.json"),
    }
    assert (out / "pwd").read_text().strip() == os.path.realpath(tempfile.gettempdir())
    assert (out / "stdin").read_text().strip() == "/dev/null"
    assert (out / "reply").read_text() == ""
    assert json.loads((out / "facts").read_text()) == {"os": "x"}
    asked = json.loads((out / "request").read_text())
    assert before <= asked.pop("msgtime") <= time.time()
    assert asked == {
        "$schema": "https://choria.io/schemas/mcorpc/external/v1/rpc_request.json",
        "protocol": "io.choria.mcorpc.external.v1.rpc_request",
        "agent": "wild",
        "action": "say",
        "requestid": key.job.replace("-", ""),
        "senderid": "fleetjobs",
        "callerid": "fleetjobs=ann",
        "collective": "acme",
        "ttl": 20,
        "data": {"msg": "hello", "process_results": True},
    }
    assert answered.stdout is not None
    assert answered.stderr is not None
    assert (answered.stdout.content, answered.stderr.content) == (b"said\n", b"shouted\n")


@pytest.mark.spec("EA-11")
@pytest.mark.parametrize("status", [0, 3])
def test_output_defaults_are_filled_in_and_what_is_not_declared_is_kept(
    desk: Desk, status: int
) -> None:
    data = {"result": "hi", "more": {"deep": [1]}}
    document = json.dumps({"statuscode": status, "statusmsg": "so", "data": data, "x": 1})

    reply = run(desk, f"echo '{document}' > \"$2\"")

    assert (reply.statuscode, reply.statusmsg) == (status, "so")
    assert reply.data == {"result": "hi", "tone": "calm", "more": {"deep": [1]}}


@pytest.mark.spec("EA-07", "EA-16")
@pytest.mark.parametrize(
    ("script", "reason", "status", "message"),
    [
        ("exit 7", Reason.EXIT_CODE, 1, "executing wild failed: exit status 7"),
        ('echo \'{"data": {}}\' >"$2"; exit 7', Reason.EXIT_CODE, 1, "exit status 7"),
        ("kill -9 $$", Reason.EXIT_CODE, 1, "executing wild failed: ended by SIGKILL"),
        ("exit 0", Reason.NO_REPLY, 1, "it left no reply"),
        ('rm "$2"', Reason.NO_REPLY, 1, "it left no reply"),
        ('echo "{" >"$2"', Reason.NO_REPLY, 1, "cannot be read"),
        ('echo "[]" >"$2"', Reason.NO_REPLY, 1, "cannot be read"),
        ('echo \'{"data": []}\' >"$2"', Reason.NO_REPLY, 1, "cannot be read"),
        ('echo \'{"statuscode": -1}\' >"$2"', Reason.NO_REPLY, 1, "cannot be read"),
        ('echo \'{"statuscode": "0"}\' >"$2"', Reason.NO_REPLY, 1, "cannot be read"),
        ('rm "$2"; mkfifo "$2"', Reason.NO_REPLY, 1, "not a file"),
        ('rm "$2"; mkdir "$2"', Reason.NO_REPLY, 1, "not a file"),
        ('ln -sf /dev/zero "$2"', Reason.NO_REPLY, 1, "not a file"),
        ('echo \'{"statuscode": 5, "statusmsg": "oh"}\' >"$2"', Reason.EXCEPTION, 5, "oh"),
    ],
)
def test_each_bad_end_comes_to_a_reply_with_the_reason(
    desk: Desk, script: str, reason: Reason, status: int, message: str
) -> None:
    reply = run(desk, script)

    assert (reply.state, reply.reason, reply.statuscode) == (State.FAILED, reason, status)
    assert message in reply.statusmsg
    if status == 1:
        assert reply.statusmsg.startswith("Could not call external agent wild#say: ")


@pytest.mark.spec("EA-07")
def test_over_its_time_a_program_is_ended_and_the_caller_is_told(desk: Desk) -> None:
    reply = run(desk, "trap '' TERM; echo begun; sleep 60", timeout=2)

    assert (reply.state, reply.reason, reply.statuscode) == (State.FAILED, Reason.TIMEOUT, 1)
    assert reply.statusmsg == "took longer than 2 s"
    assert reply.exit_code == -9
    assert reply.stdout is not None
    assert reply.stdout.content == b"begun\n"


def test_a_program_that_cannot_be_executed_is_a_load_error(desk: Desk) -> None:
    external(desk, "#!/no/such/interpreter\n")

    reply = desk.do(agent="wild", action="say")

    assert (reply.reason, reply.statuscode) == (Reason.LOAD_ERROR, 1)
    assert "its interpreter /no/such/interpreter is not here" in reply.statusmsg


@pytest.mark.parametrize("agent", ["wild", "lab"])
def test_the_owner_of_a_node_may_add_to_the_environment(desk: Desk, agent: str) -> None:
    program = "#!/bin/sh\necho $no_proxy\n"
    external(desk, program)
    put_script(desk.root / "libdir", "lab", program)
    environments = desk.root / "environment"
    environments.mkdir()
    (environments / agent).write_text("no_proxy=localhost\n")
    desk.close()
    desk.workplace = replace(desk.workplace, environments=environments)
    desk.open()

    reply = desk.do(agent=agent, action="say")

    assert reply.stdout is not None
    assert reply.stdout.content == b"localhost\n"


def script(desk: Desk, program: str) -> Reply:
    """What comes of a script of MCollective's."""
    put_script(desk.root / "libdir", "lab", f"#!/bin/sh\n{program}\n")
    return desk.do(agent="lab", action="say", msg="hi")


@pytest.mark.spec("EA-13")
def test_a_script_is_called_as_under_mcollective(
    desk: Desk, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEETJOBS_NODE_BROKER", "secret")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    more = SPY.format(out=out, more='echo \'{"msg": "hi"}\' > "$2"')
    path = put_script(desk.root / "libdir", "lab", more)
    key = make_key()

    run = desk.accept(key, agent="lab", action="say", msg="hi")
    reply = desk.reply(run)

    assert reply.data == {"msg": "hi", "tone": "calm"}
    request, reply_file = str(run.path / "request.json"), str(run.path / "reply.json")
    assert (out / "words").read_text().splitlines() == [request, reply_file]
    environment = dict(line.split("=", 1) for line in (out / "env").read_text().splitlines())
    assert {name: environment[name] for name in ("HOME", "PATH")} == {
        name: os.environ[name] for name in ("HOME", "PATH")
    }
    assert environment["LC_ALL"] == "C"
    assert environment["MCOLLECTIVE_REQUEST_FILE"] == request
    assert environment["MCOLLECTIVE_REPLY_FILE"] == reply_file
    assert not [name for name in environment if name.startswith("FLEETJOBS_")]
    assert (out / "pwd").read_text().strip() == os.path.realpath(tempfile.gettempdir())
    assert json.loads((out / "request").read_text()) == {
        "agent": "lab",
        "action": "say",
        "data": {"msg": "hi", "process_results": True},
        "sender": "fleetjobs",
        "callerid": None,
        "uniqid": key.job.replace("-", ""),
    }
    assert path.is_file()


@pytest.mark.spec("EA-15")
@pytest.mark.parametrize(
    ("program", "state", "status", "message", "data"),
    [
        ("exit 0", State.SUCCEEDED, 0, "OK", {}),
        ('echo "{" >"$2"', State.SUCCEEDED, 0, "OK", {}),
        ('echo \'{"a": NaN}\' >"$2"', State.SUCCEEDED, 0, "OK", {}),
        ('echo \'{"a": 1}\' >"$2"', State.SUCCEEDED, 0, "OK", {"a": 1}),
        ("echo no >&2; exit 1", State.FAILED, 1, "Failed to run say.sh: no\n", {}),
        ("exit 3", State.FAILED, 3, "Failed to run say.sh: ", {}),
        ("echo out; exit 111", State.FAILED, 111, "Failed to run say.sh: ", {}),
        ('echo \'{"a": 1}\' >"$2"; exit 9', State.FAILED, 9, "Failed to run say.sh: ", {"a": 1}),
        ("kill -9 $$", State.FAILED, 1, "Failed to run say.sh: ended by SIGKILL", {}),
        (
            'echo "[]" >"$2"',
            State.FAILED,
            1,
            "Failed to run say.sh: its reply is not an object",
            {},
        ),
        ('rm "$2"; mkfifo "$2"', State.FAILED, 1, "not a file", {}),
    ],
)
def test_the_exit_status_of_a_script_is_its_status(
    desk: Desk, program: str, state: State, status: int, message: str, data: dict[str, Any]
) -> None:
    reply = script(desk, program)

    assert (reply.state, reply.statuscode, message in reply.statusmsg) == (state, status, True)
    assert reply.data == {"tone": "calm", **data}


def test_a_script_over_its_time_is_ended_and_the_caller_is_told(desk: Desk) -> None:
    put_script(desk.root / "libdir", "lab", "#!/bin/sh\nsleep 60\n")
    ruby = desk.root / "libdir" / "mcollective" / "agent" / "lab.ddl"
    ruby.write_text(ruby.read_text().replace(":timeout     => 20", ":timeout => 1"))

    reply = desk.do(agent="lab", action="say")

    assert (reply.reason, reply.statuscode) == (Reason.TIMEOUT, 1)


def test_a_script_that_is_gone_is_a_load_error(desk: Desk) -> None:
    put_script(desk.root / "libdir", "lab", "#!/bin/sh\n").unlink()

    reply = desk.do(agent="lab", action="say")

    assert reply.reason is Reason.LOAD_ERROR
    assert "no executable 'say.sh'" in reply.statusmsg


@pytest.mark.spec("EA-07")
@pytest.mark.parametrize("agent", ["wild", "lab"])
def test_a_killed_runner_does_not_lose_what_a_program_replies(
    desk: Desk, tmp_path: Path, agent: str
) -> None:
    """A script's exit status is seen by nobody then, and it is its status."""
    begun, go = tmp_path / "begun", tmp_path / "go"
    data = {"wild": '{"data": {"result": "done"}}', "lab": '{"msg": "done"}'}[agent]
    program = f"#!/bin/sh\ntouch {begun}\nwhile ! [ -e {go} ]; do sleep 0.02; done\n"
    program += f"echo '{data}' > \"$2\"\n"
    external(desk, program)
    put_script(desk.root / "libdir", "lab", program)
    run = desk.accept(agent=agent, action="say")
    desk.drive(begun.exists)
    holder = run.holder()
    assert holder is not None

    os.kill(holder.pid, 9)
    wait_for(lambda: not Path(f"/proc/{holder.pid}").exists())
    go.touch()
    reply = desk.reply(run)

    if agent == "wild":
        assert (reply.state, reply.data["result"]) == (State.SUCCEEDED, "done")
    else:
        assert (reply.reason, reply.data["msg"]) == (Reason.INTERRUPTED, "done")
        assert "exit status is not known" in reply.statusmsg
