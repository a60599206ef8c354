"""`fj agent`: what somebody sees who begins an agent, checks it and tries it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fleetjobs.cli.main import run as fj
from fleetjobs.errors import Fault, InvalidInput
from fleetjobs.programs import cases
from fleetjobs.programs.agent import main
from fleetjobs.programs.beginnings import begin_agent
from fleetjobs.programs.checking import check_agent
from fleetjobs.programs.trial import find_agents
from tests.agent_programs import ROOT
from tests.processes import wait_for


def call(*words: str) -> tuple[int, str, str]:
    """Exit status, stdout, stderr of the program."""
    argv = [sys.executable, "-m", "fleetjobs.programs.agent", *words]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=100)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """A new agent in shell."""
    return begin_agent("fresh", "shell", tmp_path)[0]


def test_a_new_agent_passes_its_check_at_once(tmp_path: Path) -> None:
    new = call("new", "--language", "shell", "--directory", str(tmp_path), "--", "fresh")
    code, out, _ = call("check", "--", str(tmp_path / "fresh"))

    assert new[0] == 0
    assert f"fj agent check {tmp_path / 'fresh'}" in new[1]
    assert code == 0
    assert "1 agent, 3 cases: all is well" in out


def test_our_own_agents_pass_their_check() -> None:
    """As a directory of agents; `rpcutil` acts on what its cases say of the node."""
    code, out, _ = call("check", "--json", "--", str(ROOT / "agents/rpcutil"), "demo")

    found = json.loads(out)["items"]
    assert [item["agent"] for item in found] == ["rpcutil", "demo"]
    assert code == 0, [case for item in found for case in item["cases"] if not case["ok"]]
    assert all(item["ok"] and item["cases"] for item in found)


@pytest.mark.parametrize("name", ["Fresh", "fresh-1", "1fresh", "", "a b", "../fresh", "é"])
def test_a_name_that_no_agent_can_have_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match="small letters"):
        begin_agent(name, "shell", tmp_path / "place")

    assert not (tmp_path / "place").exists()


def test_what_is_there_already_is_left_alone(fresh: Path) -> None:
    with pytest.raises(InvalidInput, match="already"):
        begin_agent("fresh", "perl", fresh.parent)

    assert not (fresh / "fresh").read_text().startswith("#!/usr/bin/env perl")


def write(path: Path, text: str) -> None:
    path.write_text(text)


def change(path: Path, place: str, value: Any) -> None:
    """Set `place`, such as `actions.0.input`, in the interface."""
    document = json.loads((path / "fresh.json").read_text())
    *above, last = place.split(".")
    at = document
    for key in above:
        at = at[int(key)] if isinstance(at, list) else at[key]
    at[last] = value
    write(path / "fresh.json", json.dumps(document))


SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "no program": (lambda at: (at / "fresh").unlink(), "its program has to be fresh or fresh.py"),
    "program with a suffix": (
        lambda at: (at / "fresh").rename(at / "fresh.sh"),
        "there is fresh.sh",
    ),
    "not executable": (lambda at: (at / "fresh").chmod(0o644), "chmod +x"),
    "two programs": (lambda at: write(at / "fresh.py", "x"), "keep one of them"),
    "no JSON": (lambda at: write(at / "fresh.json", "{"), "not JSON"),
    "a list": (lambda at: write(at / "fresh.json", "[]"), "object"),
    "another name": (lambda at: change(at, "metadata.name", "other"), "'other'"),
    "no version": (lambda at: change(at, "metadata.version", "new"), "such as 1.0.0"),
    "unknown provider": (lambda at: change(at, "metadata.provider", "fleet"), "fleet"),
    "misspelt key": (
        lambda at: change(at, "actions.0.input.name.validate", "x"),
        "default, validation, maxlength",
    ),
    "misspelt trait": (
        lambda at: change(at, "fleetjobs.actions.greet.timeout", 1),
        "known are inline, idempotent, timeout_s",
    ),
    "misspelt metadata": (lambda at: change(at, "metadata.title", "x"), "known are name, version"),
    "unknown type": (lambda at: change(at, "actions.0.input.name.type", "text"), "text"),
    "list of nothing": (lambda at: change(at, "actions.0.input.name.type", "list"), "list"),
    "broken pattern": (
        lambda at: change(at, "actions.0.input.name.validation", "("),
        "'name'|name",
    ),
    "unknown check": (lambda at: change(at, "actions.0.input.name.validation", "word"), "word"),
    "default that does not fit": (
        lambda at: change(at, "actions.0.input.times.default", "one"),
        "default",
    ),
    "traits of no action": (
        lambda at: change(at, "fleetjobs.actions.gret", {"timeout_s": 1}),
        "gret",
    ),
    "secret that is no input": (
        lambda at: change(at, "fleetjobs.actions.greet.secret", ["password"]),
        "password",
    ),
    "no time": (lambda at: change(at, "fleetjobs.actions.greet.timeout_s", 0), "timeout_s"),
}


@pytest.mark.parametrize("what", SPOILT)
def test_a_spoilt_agent_is_refused_with_place_and_remedy(fresh: Path, what: str) -> None:
    spoil, said = SPOILT[what]
    spoil(fresh)

    finding = check_agent(fresh)

    assert not finding.is_good
    assert any(part in finding.problem for part in said.split("|")), finding.problem


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda at: (at / "fresh.json").rename(at / "agent.json"), "there is agent.json"),
        (lambda at: (at / "fresh.json").unlink(), "its interface would be"),
        (lambda at: at.rename(at.with_name("other")), "no such directory"),
    ],
)
def test_what_is_no_agent_is_told_what_one_looks_like(
    fresh: Path, spoil: Callable[[Path], object], said: str
) -> None:
    spoil(fresh)

    with pytest.raises(Fault, match=said):
        find_agents(fresh)


def test_a_file_of_an_agent_and_the_directory_above_mean_it_too(fresh: Path) -> None:
    assert find_agents(fresh / "fresh.json") == find_agents(fresh.parent) == [fresh]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("#!/no/such/interpreter", "/no/such/interpreter"),
        ("", "#!"),
        ("#!/bin/sh\nexit 3", "status 3"),
        ("#!/bin/sh\nexit 0", "no reply"),
        ("#!/bin/sh\necho '{' >$FLEETJOBS_REPLY", "cannot be read"),
        ('#!/bin/sh\necho \'{"data": {"txt": 1}}\' >$FLEETJOBS_REPLY', "no output txt"),
    ],
)
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # of os.fork, from 3.12 on
def test_a_program_that_does_not_work_is_told_why(fresh: Path, line: str, said: str) -> None:
    write(fresh / "fresh", f"{line}\n")

    finding = check_agent(fresh)

    assert not finding.is_good
    assert all(case.problems for case in finding.cases)
    assert said in str(finding.document())


def test_a_failed_case_says_what_was_found_and_what_was_wanted(fresh: Path) -> None:
    case = {"request": {"action": "greet", "data": {"name": "Ada"}}, "reply": {"data": {"text": 1}}}
    write(fresh / "cases/greet.json", json.dumps(case))
    write(fresh / "cases/none.json", '{"reply": {}}')
    write(fresh / "cases/unasked.json", '{"request": {"action": "greet"}, "reply": {}}')

    code, out, _ = call("check", "--", str(fresh))

    assert code == 2
    assert 'reply.data.text is "Hello Ada!", not 1' in out
    assert "none.json is no case: Object missing required field `request`" in out
    assert "fresh.greet needs name" in out
    assert "1 not good, 3 cases failed" in out


@pytest.mark.parametrize(
    ("found", "wanted", "differ"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, False),
        ({"a": 1}, {"a": 1, "b": 2}, True),
        ([1], {"a": 1}, True),
        (1, "<integer>", False),
        (True, "<integer>", True),
        (1.5, "<number>", False),
        ("x", "<string>", False),
        (None, "<string>", True),
        ([1, 2], [1], True),
    ],
)
def test_a_reply_holds_at_least_what_is_wanted(found: Any, wanted: Any, differ: bool) -> None:  # noqa: FBT001  a column
    assert bool(list(cases.differing(found, wanted, "reply"))) == differ


def test_an_action_is_tried_as_a_node_would_do_it(fresh: Path) -> None:
    code, out, err = call("run", "--", str(fresh), "count", "to=2")

    assert code == 0
    assert "Counted to: 2" in out
    assert "1\n" in err
    assert "progress 100 % at 2" in err


def test_a_reply_is_shown_as_json(fresh: Path) -> None:
    code, out, _ = call("run", "--json", "--", str(fresh), "greet", "name=Ada", "times=9")

    reply = json.loads(out)
    assert code == 2
    assert (reply["state"], reply["reason"], reply["statuscode"]) == ("failed", "user_error", 4)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("gret",), "no action 'gret'; its actions are: count, greet"),
        (("greet",), "needs name"),
        (("greet", "name"), "name=value"),
        (("greet", "nam=x"), "no input 'nam'"),
        (("greet", "name=x; rm -rf /"), "does not match"),
        (("greet", "name=Ada", "times=often"), "times"),
    ],
)
def test_wrong_words_are_told_what_would_be_right(
    fresh: Path, words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--", str(fresh), *words]) == 1

    err = capsys.readouterr().err
    assert said in err
    assert f"`fj doc {fresh}` tells what it takes" in err


def test_ctrl_c_stops_the_program_and_keeps_what_it_replied(fresh: Path) -> None:
    argv = [sys.executable, "-m", "fleetjobs.programs.agent", "run", "--json", "--"]
    with subprocess.Popen(
        [*argv, str(fresh), "count", "to=1000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        while b"progress" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)

    reply = json.loads(out)
    assert (process.returncode, reply["state"]) == (2, "cancelled")
    assert reply["data"]["counted"] >= 1
    wait_for(lambda: not _left(fresh), 30)


def _left(fresh: Path) -> list[Path]:
    """Processes of that program."""
    return [
        path
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if os.fsencode(fresh / "fresh") in _read(path)
    ]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_a_node_and_its_environment_can_be_made_up(fresh: Path, tmp_path: Path) -> None:
    write(
        fresh / "fresh", '#!/bin/sh\ncat $FLEETJOBS_NODE; echo $PLACE; echo "{}" >$FLEETJOBS_REPLY'
    )
    (tmp_path / "node.json").write_text('{"facts": {"os": "made up"}}')
    more = [f"--node={tmp_path / 'node.json'}", "--env=PLACE=here"]

    _, _, err = call("run", *more, "--", str(fresh), "greet", "name=Ada")

    assert "made up" in err
    assert "here" in err


def test_an_interface_that_lies_here_is_told_and_made_a_page(
    fresh: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fj(["doc", str(fresh), "greet"]) == 0
    assert "fresh greet name=STRING [times=INTEGER]" in capsys.readouterr().out
    assert fj(["doc", str(fresh), "--markdown"]) == 0
    page = capsys.readouterr().out
    assert page.startswith("# fresh\n\n")
    assert "| `times` | How often, 1 to 5 | optional; integer; default 1 |" in page
    assert fj(["doc", str(fresh.parent)]) == 1
    assert "No such file" in capsys.readouterr().err
