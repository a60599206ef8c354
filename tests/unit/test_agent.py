import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fleetjobs import agent as agent_module
from fleetjobs.agent import Agent, Delay, Fail, Node, NotLoadable, act, action, load, serve


class Probe(Agent):
    """Does what is asked."""

    @action
    def echo(self, text: str, times: int = 1) -> None:
        """Repeat."""
        self.reply["text"] = text * times

    @action
    def give(self) -> dict[str, int]:
        """Return outputs instead of writing them down."""
        return {"a": 1}

    @action
    def give_up(self) -> None:
        """End with a status, after saying something."""
        self.reply["so_far"] = 1
        self.fail("not today", status=3)

    @action
    def crash(self) -> None:
        """Raise."""
        raise ValueError("boom")

    @action
    def come_back(self, seconds: float) -> None:
        """It is too early."""
        self.reply["so_far"] = 1
        raise Delay(seconds)

    @action("run")
    def run_it(self, argv: list[str], timeout: float = 5) -> None:
        """Run a program."""
        done = self.run(argv, timeout=timeout, stdin="in", env={"PROBE": "1"})
        self.reply |= {"out": done.stdout, "err": done.stderr, "code": done.returncode}

    @action
    def where(self) -> None:
        """Tell of the node."""
        self.reply["node"] = [
            self.node.identity,
            self.node.facts(),
            self.node.classes(),
            self.node.agents(),
            self.node.started_at,
        ]

    @action
    def tell(self) -> None:
        """Tell how far it is."""
        self.progress(50, "half")
        self.progress(100)

    @action
    def go_on(self, *, fail: bool = False) -> None:
        """Ask for jobs to follow."""
        self.next("echo", {"text": "more"})
        self.next("service.restart", {"name": "nginx"}, nodes=["db1"], delay_s=30)
        if fail:
            self.fail("not today")


def ask(name: str, progress: Path | None = None, **data: Any) -> dict[str, Any]:
    return act(Probe, {"action": name, "data": data}, Node({}), progress)


def test_an_action_takes_inputs_as_keywords_and_replies_what_it_wrote_down() -> None:
    assert ask("echo", text="ab", times=2) == {
        "statuscode": 0,
        "statusmsg": "OK",
        "data": {"text": "abab"},
    }


def test_what_an_action_returns_is_part_of_its_reply() -> None:
    assert ask("give")["data"] == {"a": 1}


def test_giving_up_keeps_the_status_the_message_and_the_data() -> None:
    assert ask("give_up") == {
        "statuscode": 3,
        "statusmsg": "not today",
        "data": {"so_far": 1},
    }


def test_an_exception_is_status_5_with_its_traceback_on_stderr(
    capsys: pytest.CaptureFixture[str],
) -> None:
    reply = ask("crash")

    assert (reply["statuscode"], reply["statusmsg"]) == (5, "ValueError: boom")
    assert "boom" in capsys.readouterr().err


def test_an_unknown_action_is_status_2_and_names_those_there_are() -> None:
    reply = ask("ecko")

    assert reply["statuscode"] == 2
    assert "echo" in reply["statusmsg"]


@pytest.mark.parametrize("data", [{}, {"text": "a", "more": 1}])
def test_inputs_that_the_method_does_not_take_are_status_4(data: dict[str, Any]) -> None:
    assert ask("echo", **data)["statuscode"] == 4


def test_process_results_never_reaches_the_action() -> None:
    assert ask("echo", text="a", process_results=True)["statuscode"] == 0


def test_an_action_may_have_the_name_of_a_method_of_agents() -> None:
    reply = ask("run", argv=["sh", "-c", "cat; echo $PROBE; echo no >&2; exit 3"])

    assert reply["data"] == {"out": "in1\n", "err": "no\n", "code": 3}


def test_a_program_that_is_not_there_fails_the_action() -> None:
    assert ask("run", argv=["/no/such"])["statusmsg"].startswith("/no/such cannot be run")


def test_a_program_over_its_time_fails_the_action() -> None:
    assert "longer than" in ask("run", argv=["sleep", "9"], timeout=0.05)["statusmsg"]


def test_progress_is_appended_as_json_lines(tmp_path: Path) -> None:
    ask("tell", progress=tmp_path / "progress")

    lines = (tmp_path / "progress").read_text().splitlines()
    assert [json.loads(line)["percent"] for line in lines] == [50, 100]


def test_an_agent_knows_its_node(tmp_path: Path) -> None:
    path = tmp_path / "node.json"
    path.write_text(json.dumps({"identity": "web1", "facts": {"os": "x"}, "classes": ["a"]}))

    reply = act(Probe, {"action": "where", "data": {}}, Node.read(path))

    assert reply["data"]["node"] == ["web1", {"os": "x"}, ["a"], {}, None]


def test_without_a_worker_the_node_is_empty(tmp_path: Path) -> None:
    assert Node.read(tmp_path / "none").facts() == {}
    assert Node.read(None).identity == ""


def test_fail_is_an_abort_unless_it_says_otherwise() -> None:
    assert Fail("x").status == 1


def test_actions_are_inherited() -> None:
    class More(Probe):
        @action
        def extra(self) -> None:
            """One more."""

    assert {"echo", "extra"} <= set(More.actions)
    assert "extra" not in Probe.actions


SOURCE = """
from fleetjobs.agent import Agent, action
import beside_it
class One(Agent):
    @action
    def do(self):
        self.reply["beside"] = beside_it.VALUE
"""


def test_a_file_is_loaded_with_what_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text(SOURCE)
    (tmp_path / "beside_it.py").write_text("VALUE = 7")

    reply = act(load(tmp_path / "one.py"), {"action": "do", "data": {}}, Node({}))

    assert reply["data"] == {"beside": 7}


@pytest.mark.parametrize("source", ["", "1 +", "import no_such_module"])
def test_a_file_that_holds_no_agent_says_why(tmp_path: Path, source: str) -> None:
    (tmp_path / "broken.py").write_text(source)

    with pytest.raises(NotLoadable, match=r"broken\.py"):
        load(tmp_path / "broken.py")


def environment(directory: Path, request: Mapping[str, Any]) -> dict[str, str]:
    (directory / "request.json").write_text(json.dumps(request))
    return {
        "FLEETJOBS_REQUEST": str(directory / "request.json"),
        "FLEETJOBS_REPLY": str(directory / "reply.json"),
    }


def test_serving_writes_the_reply_where_the_environment_says(tmp_path: Path) -> None:
    serve(Probe, environment(tmp_path, {"action": "echo", "data": {"text": "a"}}))

    assert json.loads((tmp_path / "reply.json").read_text())["data"] == {"text": "a"}


def test_a_reply_that_is_not_json_becomes_status_5(tmp_path: Path) -> None:
    class Odd(Agent):
        @action
        def do(self) -> None:
            self.reply["x"] = float("nan")

    serve(Odd, environment(tmp_path, {"action": "do", "data": {}}))

    assert json.loads((tmp_path / "reply.json").read_text())["statuscode"] == 5


STANDALONE = """#!/usr/bin/env python3
import time
from agent import Agent, action, main
class Alone(Agent):
    @action
    def do(self, wait):
        try:
            self.reply["so_far"] = 1
            print("ready", flush=True)
            time.sleep(wait)
        finally:
            print("cleaned", flush=True)
if __name__ == "__main__":
    main()
"""


@pytest.fixture
def standalone(tmp_path: Path) -> Path:
    shutil.copy(agent_module.__file__, tmp_path / "agent.py")
    (tmp_path / "alone").write_text(STANDALONE)
    return tmp_path / "alone"


def test_one_copied_file_is_enough_for_a_program(standalone: Path) -> None:
    """Isolated from the package: the standard library is all there is."""
    env = environment(standalone.parent, {"action": "do", "data": {"wait": 0}})

    subprocess.run([sys.executable, "-S", standalone], env=env, check=True)

    assert json.loads((standalone.parent / "reply.json").read_text())["statuscode"] == 0


def test_sigterm_stops_an_agent_and_lets_it_clean_up(standalone: Path) -> None:
    env = environment(standalone.parent, {"action": "do", "data": {"wait": 60}})

    with subprocess.Popen(
        [sys.executable, standalone], env=env, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        assert process.stdout.read() == "cleaned\n"

    assert process.returncode == 128 + 15
    reply = json.loads((standalone.parent / "reply.json").read_text())
    assert reply == {"statuscode": 1, "statusmsg": "stopped", "data": {"so_far": 1}}


def test_a_program_outside_of_a_run_says_how_it_is_run(standalone: Path) -> None:
    done = subprocess.run(
        [sys.executable, standalone], env={}, capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "FLEETJOBS_REQUEST" in done.stderr


def test_the_standard_library_is_all_that_is_imported() -> None:
    code = "import sys, fleetjobs.agent; print(*{m.split('.')[0] for m in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert set(done.stdout.split()) - {"fleetjobs", "__main__"} <= sys.stdlib_module_names


@pytest.mark.spec("S1-17")
def test_an_action_may_ask_to_be_tried_again_later() -> None:
    assert ask("come_back", seconds=30) == {
        "statuscode": 1,
        "statusmsg": "to be tried again in 30 s",
        "data": {"so_far": 1},
        "delay_s": 30,
    }


@pytest.mark.spec("S0-08")
def test_an_action_may_ask_for_jobs_that_follow_it() -> None:
    assert ask("go_on")["next"] == [
        {"action": "echo", "data": {"text": "more"}},
        {
            "action": "restart",
            "data": {"name": "nginx"},
            "agent": "service",
            "target": {"identities": ["db1"]},
            "delay_s": 30,
        },
    ]
    assert "next" not in ask("go_on", fail=True)


def test_an_agent_logs_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    class Talker(Agent):
        @action
        def do(self) -> None:
            self.log.info("doing %s", "it")
            self.log.debug("not this")

    act(Talker, {"action": "do", "data": {}}, Node({}))

    said = capsys.readouterr().err
    assert said.endswith("INFO doing it\n")
    assert "not this" not in said


def test_a_copied_file_works_where_nothing_is_installed(standalone: Path) -> None:
    """No site-packages, no environment, nothing of ours but that one file."""
    env = environment(standalone.parent, {"action": "do", "data": {"wait": 0}})
    place, path = str(standalone.parent), str(standalone)
    code = (
        f"import runpy, sys; sys.path[:0] = [{place!r}]; runpy.run_path({path!r}, None, '__main__')"
    )

    subprocess.run([sys.executable, "-S", "-I", "-c", code], env=env, check=True)

    assert json.loads((standalone.parent / "reply.json").read_text())["statuscode"] == 0
