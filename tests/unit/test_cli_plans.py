"""Plans on the command line: checked, tried out, run and followed."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fleetjobs.cli.main import run
from fleetjobs.cli.screen import Screen
from fleetjobs.client.fleet import Fleet
from fleetjobs.errors import Problem
from tests.fake_plans import PLAN, PlanServer, leg, need

Fj = Callable[..., tuple[int, str, str]]

BUILD = """\
name: build
params:
  name: {description: who}
  size: 10
legs:
  - make: {action: vm.make, data: {name: "${params.name}", size: "${params.size}"}}
  - start: {action: vm.start, data: {path: "${legs.make.data.path}"}}
"""
BEGUN = [leg("make", "running", count=3), leg("start", needs=[need("make")])]
DONE = [leg("make", "succeeded", count=3), leg("start", "succeeded", needs=[need("make")])]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> PlanServer:
    server = PlanServer(BEGUN, DONE)
    monkeypatch.setattr(Fleet, "connect", classmethod(lambda _cls, _config=None: server.fleet))
    return server


@pytest.fixture
def fj(capsys: pytest.CaptureFixture[str], server: PlanServer) -> Fj:
    """Run a command line; its exit code, and what it printed to stdout and stderr."""
    assert server

    def call(*args: str) -> tuple[int, str, str]:
        code = run(args)
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "build.yaml"
    path.write_text(BUILD)
    return str(path)


def test_a_plan_is_run_and_followed_to_its_end(fj: Fj, file: str, server: PlanServer) -> None:
    code, out, err = fj("plan", "run", file, "--param", "name=web1", "-C", "web")

    (path, body), *_ = server.posted
    assert (code, err, path) == (0, "", "plans")
    assert body["plan"]["legs"][0]["data"] == {"name": "web1", "size": 10}
    assert body["plan"]["legs"][0]["target"] == {"classes": ["web"], "agents": ["vm"]}
    assert "▶ make  vm.make  running" in out
    assert "✓ make  succeeded  3 of 3" in out
    assert "├─ ✓ make  vm.make  succeeded  3 of 3\n" in out
    assert "└─ ✓ start  vm.start  succeeded  1 of 1  after make\n" in out
    assert "The plan has succeeded after 1 min 30 s." in out


def test_nodes_that_fail_are_named_as_they_do(fj: Fj, file: str, server: PlanServer) -> None:
    failed = leg("make", "failed", reason="runs_failed", tally={"succeeded": 2, "failed": 1})
    server.scenes = [BEGUN, [failed, leg("start", "skipped", reason="dependency_failed")]]
    server.end = "failed"
    server.runs["id-make"] = [
        {"node": "web3", "statusmsg": "no \x1b[31mdisk", "reason": None, "state": "failed"}
    ]

    code, out, _ = fj("plan", "run", file, "-p", "name=web1")

    assert code == 2
    assert "make on web3: no disk" in out
    assert "✗ make  vm.make  failed (runs_failed)  2 of 3, 1 failed" in out
    assert "- start  vm.start  skipped (dependency_failed)" in out
    assert "The plan has failed" in out


class Growing(dict[str, Any]):
    """Runs of a leg, more at each look."""

    def get(self, name: str, _: object = None) -> Any:
        """As many as there are by now."""
        looks = self[name]
        return looks.pop(0) if len(looks) > 1 else looks[0]


def test_each_node_that_fails_is_named_once_in_whatever_order(
    fj: Fj, file: str, server: PlanServer
) -> None:
    """They are listed by name: one that failed later may stand before one that was shown."""
    broken = [
        {"node": f"web{n}", "statusmsg": "broken", "reason": None, "state": "failed"}
        for n in (1, 2, 3)
    ]
    server.runs = Growing({"id-make": [[broken[0], broken[2]], broken]})
    two, three = ({"running": 3 - bad, "failed": bad} for bad in (2, 3))
    server.scenes = [[leg("make", "running", tally=two)], [leg("make", "failed", tally=three)]]
    server.end = "failed"

    _, out, _ = fj("plan", "run", file, "-p", "name=x")

    named = [row.split()[2] for row in out.splitlines() if "make on " in row]
    assert named == ["web1:", "web3:", "web2:"]


def test_a_plan_can_go_on_in_the_background(fj: Fj, file: str, server: PlanServer) -> None:
    code, out, _ = fj("plan", "run", file, "-p", "name=x", "--background", "--on-failure", "pause")

    assert (code, out) == (0, PLAN + "\n")
    assert server.posted[0][1]["plan"]["on_failure"] == "pause"


def test_a_plan_for_later_says_when(fj: Fj, file: str, server: PlanServer) -> None:
    code, out, err = fj("plan", "run", file, "-p", "name=x", "--at", "2030-12-01T04:00:00Z")

    assert (code, out) == (0, PLAN + "\n")
    assert "Not before Sun 2030-12-01" in err
    assert server.posted[0][1]["not_before"] == "2030-12-01T04:00:00Z"


def test_as_json_there_is_one_document(fj: Fj, file: str, server: PlanServer) -> None:
    server.scenes, server.end = [[leg("make", "failed"), leg("start")]], "failed"
    server.runs["id-make"] = [{"node": "web1", "statusmsg": "x", "reason": None, "state": "failed"}]

    code, out, _ = fj("plan", "run", file, "-p", "name=x", "--json")

    document = json.loads(out)
    assert (code, document["state"], len(document["legs"])) == (2, "failed", 2)


def test_a_dry_run_shows_what_would_be_done_and_does_nothing(
    fj: Fj, file: str, server: PlanServer
) -> None:
    code, out, _ = fj("plan", "run", file, "-p", "name=x", "--dry-run")

    assert code == 0
    assert [path for path, _ in server.posted] == ["plans/check"]
    make, start = out.splitlines()[3:5]
    assert make.split()[:3] == ["make", "vm.make", "6"]
    assert "web1, web2, web3, web4 and 2 more" in make
    assert "vm.remove name=${data.name}" in make
    assert "fail, tried 3 times" in start
    assert "nothing can" in start


def test_a_narrow_terminal_leaves_nothing_of_a_dry_run_out(
    fj: Fj, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table of 80 columns had no room for what would take each leg back."""
    seen = io.StringIO()
    screen = Screen(file=seen, is_terminal=True, has_colour=False, width=80)
    monkeypatch.setattr("fleetjobs.cli.plan_trial.stdout", lambda: screen)

    fj("plan", "run", file, "-p", "name=x", "--dry-run")

    assert seen.getvalue().splitlines()[2:8] == [
        "make  vm.make",
        "           nodes  6",
        "              on  web1, web2, web3, web4 and 2 more",
        "     if it fails  fail, tried 3 times",
        "   taken back by  vm.remove name=${data.name}",
        "start  vm.start",
    ]


@pytest.mark.spec("S4-08")
def test_a_dry_run_says_what_is_undone_before_another_try(fj: Fj, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(
        "legs:\n"
        "  - make: {action: vm.make, data: {name: x}}\n"
        "  - start:\n"
        "      {action: vm.start, data: {path: x}, retry_mode: rollback_to, rollback_to: make}\n"
    )

    code, out, _ = fj("plan", "run", str(path), "--dry-run")

    assert code == 0
    assert "tried 3 times, rollback_to make" in " ".join(out.split())


def test_a_check_shows_the_same_and_all_that_is_wrong(fj: Fj, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(
        "legs:\n"
        "  - make: {action: vm.make}\n"
        "  - begin: {action: vm.begin}\n"
        "  - start: {action: vm.start, data: {path: '${legs.make.data.pth}'}}\n"
        "  - ping: nope.ping\n"
    )

    code, out, err = fj("plan", "check", str(path))

    assert (code, out) == (1, "")
    assert "make: vm.make needs name" in err
    assert "begin: vm has no action 'begin'" in err
    assert "start: ${legs.make.data.pth}: vm.make answers no 'pth'" in err
    assert "ping: no node has an agent 'nope'" in err
    assert "4 legs are wrong; nothing was asked for." in err
    _, out, _ = fj("plan", "check", str(path), "--json")
    assert [one["leg"] for one in json.loads(out)["problems"]] == ["make", "begin", "start", "ping"]


def test_a_check_without_a_server_looks_at_the_file(
    fj: Fj, file: str, server: PlanServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fj("plan", "check", file, "-p", "name=x", "--offline") == (
        0,
        "build: 2 legs fit together.\n",
        "",
    )
    monkeypatch.setattr("sys.stdin", io.StringIO(BUILD))
    code, out, _ = fj("plan", "check", "-", "-p", "name=x", "--offline", "--json")
    assert (code, len(json.loads(out)["legs"])) == (0, 2)
    assert server.posted == []


def test_what_is_wrong_with_a_file_is_said_with_its_line(fj: Fj, file: str, tmp_path: Path) -> None:
    code, out, err = fj("plan", "run", file)
    assert (code, out) == (1, "")
    assert "the plan needs the parameter name: who" in err
    assert "--param name=STRING [--param size=INTEGER]" in err

    _, _, err = fj("plan", "run", file, "-p", "nme=x")
    assert "no parameter 'nme'; did you mean name?" in err

    broken = tmp_path / "broken.yaml"
    broken.write_text("legs:\n  - a: vm.make\n  - b: {action: vm.make, needs: aa}\n")
    code, _, err = fj("plan", "run", str(broken))
    assert (code, err.splitlines()[0]) == (
        1,
        "fj: broken.yaml:3: b needs 'aa', which does not exist; did you mean a?",
    )
    broken.write_bytes(b"\xff")
    assert "cannot be read: it is not UTF-8" in fj("plan", "check", str(broken))[2]
    assert "cannot be read: No such file" in fj("plan", "check", str(tmp_path / "no"))[2]


def test_what_the_server_refuses_is_said(fj: Fj, file: str, server: PlanServer) -> None:
    server.refusal = Problem(422, {"detail": "leg make: no such node: hv9", "code": "no_nodes"})

    code, _, err = fj("plan", "run", file, "-p", "name=x", "-I", "hv9")

    assert (code, "leg make: no such node: hv9" in err) == (1, True)


def test_waiting_for_a_plan_shows_its_legs(fj: Fj) -> None:
    code, out, _ = fj("job", "wait", PLAN)

    assert code == 0
    assert "└─ ✓ start" in out


def test_a_plan_that_takes_longer_goes_on(fj: Fj, server: PlanServer) -> None:
    server.scenes = [BEGUN] * 1000

    code, out, _ = fj("job", "wait", PLAN, "--timeout", "0.01s")

    assert code == 2
    assert "The time is over; the plan goes on" in out


def test_a_plan_that_waits_for_a_person_says_so_once(fj: Fj, server: PlanServer) -> None:
    paused = [leg("make", "paused", reason="attempts_exhausted"), leg("start")]
    server.scenes, server.end = [paused], "paused"

    code, out, _ = fj("job", "wait", PLAN, "--timeout", "0.2s")

    assert code == 2
    assert out.count("It waits for a person") == 1


def test_the_shape_of_a_plan_can_be_seen(fj: Fj, server: PlanServer) -> None:
    server.scenes = [
        [
            leg("make", "succeeded"),
            leg("check", kind="group", needs=[need("make")]),
            leg("start_1", "running", group="check", needs=[need("make")]),
            leg("start_2", "skipped", group="check", needs=[need("start_1", "failed")]),
            leg("tell", needs=[need("check", "completed", "barrier")]),
            leg("undo", "running", kind="group", undoes=PLAN),
            leg("back", "running", group="undo", undoes="id-make", action="remove"),
        ]
    ]

    _, out, _ = fj("job", "graph", "last")

    assert out.splitlines() == [
        "build  succeeded  100.0 %",
        "├─ ✓ make  vm.make  succeeded  1 of 1",
        "├─ · check  group  waiting  after make",
        "│  ├─ ▶ start_1  vm.start  running",
        "│  └─ - start_2  vm.start  skipped  after start_1 (failed)",
        "└─ · tell  vm.tell  waiting  after check* (completed)",
        "",
        "taking back",
        "   ▶ make  vm.remove  running",
    ]
    _, out, _ = fj("job", "graph", PLAN, "--dot")
    assert '"start_1" -> "tell" [label="completed", ltail="cluster_check"];' in out
    assert out.count("subgraph") == 1
    _, out, _ = fj("job", "legs", PLAN, "--quiet")
    assert out.split()[0] == "id-make"
    _, out, _ = fj("job", "legs", PLAN)
    assert "check/start_2" in out
    _, out, _ = fj("job", "show", PLAN)
    assert "parts" in out
    assert "check/start_1" in out
    assert len(json.loads(fj("job", "graph", PLAN, "--json")[1])["legs"]) == 7


def wrote(leg: str, node: str) -> dict[str, Any]:
    logs = {"stdout": {"size": 8}, "stderr": {"size": 0}}
    return {"job": f"id-{leg}", "node": node, "logs": logs}


def test_what_the_legs_of_a_plan_wrote_is_shown_leg_by_leg(fj: Fj, server: PlanServer) -> None:
    """That of a leg which has not begun is not asked for."""
    server.scenes = [[leg("make", "failed", started_at="2026-11-21T12:00:00Z"), leg("start")]]
    server.runs = {"id-make": [wrote("make", "web1"), wrote("make", "web2")]}

    _, out, _ = fj("job", "logs", PLAN)
    assert out == ("==> make web1 stdout <==\nof web1\n\n==> make web2 stdout <==\nof web2\n\n")
    assert fj("job", "logs", PLAN, "web2")[1] == "of web2\n"
    code, _, err = fj("job", "logs", PLAN, "web9")
    assert (code, f"no leg of {PLAN} has begun on web9" in err) == (1, True)


def test_a_leg_is_named_by_its_plan_and_its_key(fj: Fj, server: PlanServer) -> None:
    server.scenes = [[leg("both", kind="group"), leg("make", "running", group="both")]]
    server.runs = {"id-make": [wrote("make", "web1")]}

    assert fj("job", "logs", "last/make")[1] == "of web1\n"
    assert fj("job", "logs", f"{PLAN}/both/make")[1] == "of web1\n"
    code, _, err = fj("job", "logs", "last/mke")
    assert (code, f"{PLAN} has no leg 'mke'; it has both, make" in err) == (1, True)


def test_of_a_big_plan_those_legs_are_shown_that_matter(fj: Fj, server: PlanServer) -> None:
    server.scenes = [[*(leg(f"l{n}", "waiting") for n in range(150)), leg("bad", "failed")]]

    _, out, _ = fj("job", "show", PLAN)

    assert "l149" not in out
    assert "bad  failed" in out
    assert f"150 legs more: `fj job legs {PLAN}` lists them all." in out


def awaited(job: str, *, met: bool = False) -> dict[str, Any]:
    return {"job": job, "node": None, "when": "succeeded", "met": met}


@pytest.mark.parametrize(
    ("end", "told", "said"),
    [
        (
            "failed",
            {"rollback": "not_reversible", "not_reversible": ["b"]},
            "undone  not_reversible: nothing takes back b",
        ),
        ("reverting", {"rollback_percent": 50.0}, "undone  50.0 %"),
        (
            "waiting",
            {"after": [awaited("j1"), awaited("j2", met=True)]},
            " after  j1 (succeeded)\n",
        ),
        ("failed", {"after": [awaited("j1")]}, "plan.build\n  parts"),
    ],
)
def test_it_is_shown_what_a_plan_waits_for_and_what_is_undone(
    fj: Fj, server: PlanServer, end: str, told: dict[str, Any], said: str
) -> None:
    server.end, server.told = end, told

    assert said in fj("job", "show", PLAN)[1]


def test_the_schema_of_plans_is_printed(fj: Fj) -> None:
    code, out, _ = fj("plan", "schema")

    assert (code, "$defs" in json.loads(out)) == (0, True)


def test_a_plan_is_listed_with_how_many_legs_it_has(fj: Fj) -> None:
    """It has no nodes of its own, and "0" beside "2 ok" made no sense."""
    assert "2 legs" in fj("job", "list")[1]


def test_a_plan_as_a_whole_is_not_edited(fj: Fj) -> None:
    """What its caller signed is no request, and was told to be no document that is known."""
    code, _, err = fj("job", "edit", PLAN, "--at", "2030-12-01T04:00:00Z")

    assert (code, f"{PLAN} is a plan; its legs can be changed" in err) == (1, True)


def test_what_was_called_off_is_not_said_to_have_failed(fj: Fj, server: PlanServer) -> None:
    tally = {"succeeded": 1, "failed": 1, "cancelled": 2}
    server.scenes = [[leg("make", "cancelled", tally=tally)]]

    assert "1 of 4, 1 failed, 2 cancelled" in fj("job", "graph", PLAN)[1]


def test_how_many_may_fail_is_a_number_or_a_percentage(fj: Fj, file: str) -> None:
    code, _, err = fj("plan", "run", file, "-p", "name=x", "--max-failures", "some")

    assert code == 1
    assert "'some' is neither a number, such as 2, nor a percentage" in err
