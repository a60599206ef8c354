"""What an attempt comes to, in real processes."""

import json
import os
from datetime import datetime, timedelta
from pathlib import Path

import jsonschema
import pytest

from fleetjobs.contract import Next, Progress
from fleetjobs.messages import Asked, Question, Stage
from fleetjobs.node.process import tree
from fleetjobs.node.questions import Questions
from fleetjobs.node.reading import progress
from fleetjobs.states import Reason, State
from fleetjobs.targets import Target
from tests.workbench import NODE, Desk, make_key, now, write_agent

ROOT = Path(__file__).parents[3]
OK = 'echo \'{"data": {"ok": 1}}\' > "$FLEETJOBS_REPLY"'


def test_a_program_reads_its_request_and_its_reply_is_the_reply(desk: Desk) -> None:
    desk.shell('printf \'{"data": %s}\' "$(cat "$FLEETJOBS_REQUEST")" > "$FLEETJOBS_REPLY"')
    key = make_key(attempt=2)

    reply = desk.reply(desk.accept(key))

    assert (reply.state, reply.statuscode, reply.exit_code) == (State.SUCCEEDED, 0, 0)
    schema = json.loads((ROOT / "docs/schemas/agent-request.json").read_text())
    jsonschema.validate(reply.data, schema)
    deadline = datetime.fromisoformat(reply.data.pop("deadline"))
    assert timedelta(seconds=50) < deadline - now() < timedelta(seconds=61)
    assert reply.data == {
        "kind": "plain",
        "job": key.job,
        "run": f"{key.job}.web1",
        "node": "web1",
        "attempt": 2,
        "org": "acme",
        "caller": "ann",
        "agent": "shell",
        "action": "do",
        "data": {"text": "hello"},
    }
    assert (reply.job, reply.node, reply.attempt) == (key.job, "web1", 2)
    assert reply.accepted_at is not None
    assert reply.started_at is not None
    assert reply.ended_at is not None
    assert reply.accepted_at <= reply.started_at <= reply.ended_at


def test_a_program_has_a_small_environment_a_group_and_a_directory_of_its_own(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEETJOBS_BROKER", "secret")
    desk.shell(f"env; pwd; ps -o pgid= $$; echo $$; (ls /proc/$$/fd >list); xargs <list; {OK}")

    run = desk.accept()
    reply = desk.reply(run)

    assert reply.stdout is not None
    *variables, directory, group, pid, open_files = reply.stdout.content.decode().splitlines()
    names = {line.split("=")[0] for line in variables}
    ours = {"REQUEST", "REPLY", "PROGRESS", "NODE"}
    assert names - {"PWD", "OLDPWD", "SHLVL", "_"} == {
        "PATH",
        "HOME",
        "LANG",
        *(f"FLEETJOBS_{name}" for name in ours),
    }
    assert Path(directory) == run.path / "work"
    assert group.strip() == pid
    assert open_files.split() == ["0", "1", "10", "2"]  # 10 is the script, as dash reads it


def test_a_node_may_add_to_the_environment_of_an_agent(desk: Desk) -> None:
    """A proxy, another root for apt: what a machine has of its own and no interface asks for."""
    directory = desk.workplace.environments
    directory.mkdir()
    (directory / "shell").write_text("# ours\n\nhttp_proxy=http://proxy:3128/?a=b\nPATH=/usr/bin\n")
    (directory / "other").write_text("http_proxy=http://elsewhere\n")
    desk.shell(f'echo "$http_proxy"; echo "$PATH"; {OK}')

    reply = desk.reply(desk.accept())

    assert reply.stdout is not None
    assert reply.stdout.content.decode() == "http://proxy:3128/?a=b\n/usr/bin\n"


@pytest.mark.parametrize("line", ["proxy", "1=2", "FLEETJOBS_REPLY=/etc/passwd", " A=b", "A=\0"])
def test_an_environment_that_cannot_be_read_is_named_and_nothing_begins(
    desk: Desk, line: str
) -> None:
    desk.workplace.environments.mkdir()
    (desk.workplace.environments / "shell").write_text(f"A=b\n{line}\n")
    desk.shell(OK)

    reply = desk.reply(desk.accept())

    assert (reply.state, reply.reason) == (State.FAILED, Reason.LOAD_ERROR)
    assert f"{desk.workplace.environments / 'shell'}:2" in reply.statusmsg


def test_a_python_agent_knows_its_node_and_writes_its_logs(desk: Desk) -> None:
    module = """
import os, sys
from fleetjobs.agent import Agent, action
class Snake(Agent):
    @action
    def do(self, text):
        print("hé", text)
        print("bad", file=sys.stderr)
        self.reply |= {"node": self.node.identity, "facts": self.node.facts()}
        self.reply["environment"] = sorted(os.environ)
        self.reply["at"] = os.getcwd()
"""
    write_agent(desk.agents, "snake", module=module)

    run = desk.accept(agent="snake", text="you")
    reply = desk.reply(run)

    assert reply.state is State.SUCCEEDED
    assert (reply.data["node"], reply.data["facts"]) == ("web1", {"os": "x"})
    assert "FLEETJOBS_NODE" in reply.data["environment"]
    assert len(reply.data["environment"]) == 7
    assert reply.data["at"] == str(run.path / "work")
    assert reply.stdout is not None
    assert reply.stdout.content.decode() == "hé you\n"
    assert reply.stderr is not None
    assert reply.stderr.content == b"bad\n"


@pytest.mark.parametrize(
    ("script", "reason", "status", "exit_code"),
    [
        ("exit 3", Reason.EXIT_CODE, 1, 3),
        (f"{OK}; exit 3", Reason.EXIT_CODE, 1, 3),
        ("kill -9 $$", Reason.EXIT_CODE, 1, -9),
        ("exit 0", Reason.NO_REPLY, 5, 0),
        ('echo "{" > "$FLEETJOBS_REPLY"', Reason.NO_REPLY, 5, 0),
        ('echo "[]" > "$FLEETJOBS_REPLY"', Reason.NO_REPLY, 5, 0),
        ('echo \'{"statuscode": 1}\' > "$FLEETJOBS_REPLY"', Reason.ABORTED, 1, 0),
        ('echo \'{"statuscode": 4}\' > "$FLEETJOBS_REPLY"; exit 9', Reason.USER_ERROR, 4, 9),
    ],
)
def test_a_failure_has_its_reason(
    desk: Desk, script: str, reason: Reason, status: int, exit_code: int
) -> None:
    desk.shell(script)

    reply = desk.do()

    assert reply.state is State.FAILED
    assert (reply.reason, reply.statuscode, reply.exit_code) == (reason, status, exit_code)


def test_a_raising_python_agent_fails_with_its_traceback_in_the_logs(desk: Desk) -> None:
    module = """
from fleetjobs.agent import Agent, action
class Snake(Agent):
    @action
    def do(self, text):
        raise RuntimeError("boom")
"""
    write_agent(desk.agents, "snake", module=module)

    reply = desk.do(agent="snake")

    assert (reply.reason, reply.statuscode) == (Reason.EXCEPTION, 5)
    assert reply.statusmsg == "RuntimeError: boom"
    assert reply.stderr is not None
    assert b"Traceback" in reply.stderr.content


@pytest.mark.parametrize("end", ["sys.exit(3)", "os._exit(3)"])
def test_a_python_agent_that_leaves_fails_by_its_status(desk: Desk, end: str) -> None:
    module = f"""
import os, sys
from fleetjobs.agent import Agent, action
class Snake(Agent):
    @action
    def do(self, text):
        {end}
"""
    write_agent(desk.agents, "snake", module=module)

    reply = desk.do(agent="snake")

    assert (reply.reason, reply.exit_code) == (Reason.EXIT_CODE, 3)


@pytest.mark.parametrize("program", ["no interpreter line\n", "#!/no/such/interpreter\n"])
def test_a_program_that_cannot_be_executed_is_a_load_error(desk: Desk, program: str) -> None:
    write_agent(desk.agents, "odd", program=program)

    reply = desk.do(agent="odd")

    assert (reply.reason, reply.statuscode) == (Reason.LOAD_ERROR, 5)
    assert reply.exit_code is None


@pytest.mark.spec("S2-37", "T7")
def test_a_python_agent_that_cannot_be_loaded_is_a_load_error(desk: Desk) -> None:
    """And it holds no slot: what comes after it starts."""
    write_agent(desk.agents, "odd", module="import no_such_thing")
    desk.shell(OK)
    slots = desk.slots

    replies = [desk.do(agent="odd") for _ in range(slots + 1)]

    assert {reply.reason for reply in replies} == {Reason.LOAD_ERROR}
    assert "no_such_thing" in replies[0].statusmsg
    assert desk.do().state is State.SUCCEEDED


@pytest.mark.spec("S2-24")
def test_an_input_reaches_a_program_as_it_is_and_no_shell_sees_it(
    desk: Desk, tmp_path: Path
) -> None:
    module = """
from fleetjobs.agent import Agent, action
class Snake(Agent):
    @action
    def do(self, text):
        self.reply["argv"] = self.run(["printf", "<%s>", text]).stdout
"""
    write_agent(desk.agents, "snake", module=module)
    nasty = f"x; touch {tmp_path}/harm $(touch {tmp_path}/harm) `id` '\" && rm -rf /nowhere \n*"

    reply = desk.do(agent="snake", text=nasty)

    assert reply.data["argv"] == f"<{nasty}>"
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(("agent", "action"), [("gone", "do"), ("shell", "gone")])
def test_what_was_removed_after_it_was_accepted_is_unknown(
    desk: Desk, agent: str, action: str
) -> None:
    desk.shell("exit 0")

    reply = desk.do(agent=agent, action=action)

    assert (reply.reason, reply.statuscode) == (Reason.UNKNOWN_ACTION, 2)


def test_a_new_agent_needs_no_restart(desk: Desk) -> None:
    desk.shell("exit 0")
    desk.do()

    write_agent(desk.agents, "fresh", program=f"#!/bin/sh\n{OK}\n")

    assert desk.do(agent="fresh").state is State.SUCCEEDED


def test_over_its_time_a_program_and_all_it_started_are_ended(desk: Desk) -> None:
    """It ignores TERM; a child of it does too, and another has left its group and session."""
    desk.shell(
        "trap '' TERM; sh -c \"trap '' TERM; sleep 61\" & setsid sleep 62 & echo ready; sleep 63",
        timeout=0.3,
    )
    desk.close()
    desk.workplace = type(desk.workplace)(
        **{name: getattr(desk.workplace, name) for name in desk.workplace.__struct_fields__}
        | {"grace_s": 0.2}
    )
    desk.open()

    run = desk.accept()
    reply = desk.reply(run)

    assert (reply.state, reply.reason) == (State.FAILED, Reason.TIMEOUT)
    assert reply.statusmsg == "took longer than 0.3 s"
    assert reply.exit_code == -9
    assert reply.stdout is not None
    assert reply.stdout.content == b"ready\n"
    assert not tree(None, f"FLEETJOBS_REQUEST={run.path / 'request.json'}")


def test_over_its_time_a_program_may_say_what_it_had_done(desk: Desk) -> None:
    desk.shell(
        'trap \'echo "{\\"data\\": {\\"done\\": 1}}" > "$FLEETJOBS_REPLY"; exit 0\' TERM;'
        " echo ready; while :; do sleep 0.02; done",
        timeout=0.3,
    )

    reply = desk.do()

    assert reply.reason is Reason.TIMEOUT
    assert reply.data == {"done": 1}
    assert reply.exit_code == 0


def test_a_daemon_left_behind_does_not_hold_up_the_reply(desk: Desk) -> None:
    """Services are started like this; it keeps the streams open."""
    desk.shell(f"setsid sleep 60 & echo $!; {OK}")

    reply = desk.do()

    assert reply.state is State.SUCCEEDED
    assert reply.stdout is not None
    os.kill(int(reply.stdout.content), 9)  # it lives


def test_a_long_run_is_reported_as_started_and_a_short_one_is_not(desk: Desk) -> None:
    desk.shell(f'{OK}; grep -q long "$FLEETJOBS_REQUEST" && sleep 0.9; exit 0')

    short, long = desk.accept(text="brief"), desk.accept(text="long")
    desk.reply(short)
    desk.reply(long)
    desk.drive(lambda: len(desk.finished) == 2)

    assert [reply.job for reply in desk.started] == [long.key.job]
    stages = {(entry.key, entry.stage) for entry in desk.spool.outbox()}
    assert stages == {
        (short.key, Stage.FINISHED),
        (long.key, Stage.FINISHED),
        (long.key, Stage.STARTED),
    }


@pytest.mark.spec("S0-06")
def test_progress_is_told_while_the_program_is_at_work(desk: Desk) -> None:
    line = '{"percent": 50, "text": "half way"}'
    desk.shell(f"echo '{line}' >>$FLEETJOBS_PROGRESS; until [ -e go ]; do sleep 0.05; done; {OK}")
    questions = Questions(node=NODE, spool=desk.spool, clock=now)
    asked = Question(
        id=make_key().job,
        node=NODE,
        what=Asked.RUNS,
        issued_at=now(),
        expires_at=now() + timedelta(minutes=1),
    )

    run = desk.accept()
    desk.drive(lambda: (run.path / "progress").exists() and progress(run))

    [told] = questions.answer(asked).runs
    assert told.stage is Stage.STARTED
    assert told.progress == Progress(percent=50, text="half way")
    (run.path / "work" / "go").touch()
    assert desk.reply(run).state is State.SUCCEEDED


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (b"", None),
        (b"half\n", None),
        (b'{"percent": 7}\n{"percent": 101}\n[]\n{"percent": NaN}\n\xff\n', Progress(percent=7)),
        (b'{"percent": 7}\n{"percent": 8', Progress(percent=7)),
        (b'{"text": "x", "more": 1}\n', Progress(text="x")),
        (b"x" * 100_000 + b'\n{"percent": 9}\n', Progress(percent=9)),
        (b'{"percent": 9}\n' + b"x" * 100_000, None),
        (b"[" * 10_000 + b"\n", None),
    ],
)
def test_the_last_progress_that_can_be_read_counts(
    desk: Desk, written: bytes, told: Progress | None
) -> None:
    run = desk.accept()
    (run.path / "progress").write_bytes(written)

    assert progress(run) == told


def test_a_pipe_for_progress_keeps_nobody_waiting(desk: Desk) -> None:
    run = desk.accept()
    os.mkfifo(run.path / "progress")

    assert progress(run) is None


@pytest.mark.spec("S0-08")
def test_jobs_that_are_to_follow_leave_with_the_reply(desk: Desk) -> None:
    following = '{"next": [{"action": "do", "data": {"text": "b"}, "target": {}}]}'
    desk.shell(f"echo '{following}' > \"$FLEETJOBS_REPLY\"")

    reply = desk.do()

    assert reply.next == (Next(agent="shell", action="do", data={"text": "b"}, target=Target()),)


def test_a_request_can_be_read_by_nobody_else_and_is_not_in_the_environment(desk: Desk) -> None:
    """Inputs may be secret; `ps e` and a careless child's log show the environment."""
    desk.shell(f'stat -c %a "$FLEETJOBS_REQUEST" "${{FLEETJOBS_REQUEST%/*}}"; env; {OK}')

    reply = desk.do(text="a-secret")

    assert reply.stdout is not None
    assert reply.stdout.content.splitlines()[:2] == [b"600", b"700"]
    assert b"a-secret" not in reply.stdout.content
