"""Templates on the command line, on the real interface: from files, and back into files."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fleetjobs.cli.main import run
from fleetjobs.client.fleet import Fleet
from fleetjobs.client.templates import Template
from fleetjobs.control.sowing import Sowing
from tests.api_house import House
from tests.house_fleet import HouseTransport

Fj = Callable[..., tuple[int, str, str]]
LOOK = """\
name: look
description: Ask whether they live
params:
  node: {description: which, default: web1}
action: rpcutil.ping
target: {identities: "${params.node}"}
"""
TWO = "legs:\n  - a: rpcutil.ping\n  - b: rpcutil.ping\n"


@pytest.fixture
def asked(house: House) -> Iterator[Fleet]:
    with house.client("ann") as client:
        yield HouseTransport(client).fleet


@pytest.fixture
def fj(asked: Fleet, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Fj:
    """Run a command line; its exit code, and what it printed to stdout and stderr."""
    monkeypatch.setattr(Fleet, "connect", classmethod(lambda _cls, _config=None: asked))

    def call(*args: str) -> tuple[int, str, str]:
        code = run(args)
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory as it is kept in git."""
    root = tmp_path / "tree"
    (root / "web").mkdir(parents=True)
    (root / "look.yaml").write_text(LOOK)
    (root / "web" / "two.yaml").write_text(TWO)
    (root / "README.md").write_text("# ours")
    return root


def test_a_tree_is_applied_and_applied_again(fj: Fj, tree: Path) -> None:
    code, out, _ = fj("template", "apply", str(tree), "--dry-run")
    assert (code, out.splitlines()[-1]) == (0, "2 of 2 templates would change; nothing was.")

    assert fj("template", "apply", str(tree))[1].splitlines() == [
        "created    look  (look.yaml)",
        "created    two  (web/two.yaml)",
        "2 of 2 templates changed.",
    ]
    assert fj("template", "apply", str(tree))[1].splitlines()[-1] == "0 of 2 templates changed."

    (tree / "look.yaml").write_text(LOOK.replace("web1", "web2"))
    _, out, _ = fj("template", "apply", str(tree), "--dry-run")
    assert "-  node: {description: which, default: web1}" in out
    assert "+  node: {description: which, default: web2}" in out


def test_what_is_wrong_is_said_with_file_line_and_field(fj: Fj, tree: Path) -> None:
    (tree / "web" / "two.yaml").write_text(TWO + "  - c: {action: rpcutil.ping, neds: a}\n")

    code, _, err = fj("template", "apply", str(tree))

    assert code == 1
    assert "web/two.yaml:4: c has no 'neds'; did you mean needs?" in err
    assert fj("template", "list")[2].startswith("There are no templates")


@pytest.mark.spec("S2-27")
def test_a_template_is_run_with_values_and_its_job_is_found(fj: Fj, tree: Path) -> None:
    fj("template", "apply", str(tree))

    code, out, _ = fj("template", "run", "look", "node=web2", "--background")
    later = fj("template", "run", "two", "--at", "tomorrow 4am")

    assert (code, later[0]) == (0, 0)
    assert fj("job", "list", "--template", "look", "-q")[1] == out
    found = json.loads(fj("job", "show", out.strip(), "--json")[1])
    assert (found["template_label"], found["schedule"]) == ("look", None)
    assert [one["node"] for one in found["runs"]] == ["web2"]
    assert "template  look, version 1" in fj("job", "show", out.strip())[1]


def test_an_edit_is_a_version_and_can_be_compared(fj: Fj, tree: Path) -> None:
    fj("template", "create", str(tree / "look.yaml"))
    (tree / "look.yaml").write_text(LOOK.replace("web1", "web2"))

    assert fj("template", "edit", "look", str(tree / "look.yaml"))[0] == 0
    assert "-  node: {description: which, default: web1}" in fj("template", "diff", "look")[1]
    assert [line.split()[0] for line in fj("template", "versions", "look")[1].splitlines()[1:]] == [
        "2",
        "1",
    ]
    assert "default: web1" in fj("template", "show", "look", "--version", "1", "--text")[1]
    assert fj("template", "delete", "look")[1] == "Deleted: look\n"


def test_what_is_exported_comes_back(fj: Fj, tree: Path, tmp_path: Path) -> None:
    fj("template", "apply", str(tree))
    fj("template", "export", "--to", str(tmp_path / "out"))
    assert (tmp_path / "out" / "look.yaml").read_text() == LOOK
    bundle = tmp_path / "all.json"
    bundle.write_text(fj("template", "export")[1])
    ids = {one["label"]: one["id"] for one in json.loads(bundle.read_text())["templates"]}

    assert "0 of 2" in fj("template", "import", str(bundle), "--ids", "keep")[1]
    _, out, _ = fj("template", "import", str(bundle), "--duplicates", "create")
    assert "created    look-2" in out
    assert set(ids) == {"look", "two"}


def test_a_template_and_a_file_are_tried_out(fj: Fj, tree: Path) -> None:
    fj("template", "create", str(tree / "look.yaml"))

    for name in ("look", str(tree / "look.yaml")):
        code, out, _ = fj("template", "validate", name, "node=web2")
        assert (code, out) == (0, "It could run on 1 node; nothing was asked for.\n")
    code, _, err = fj("template", "validate", "look", "nodes=web2")
    assert (code, "did you mean node?" in err) == (1, True)


def test_a_schedule_of_a_template_is_made_and_shown(fj: Fj, tree: Path) -> None:
    fj("template", "apply", str(tree))

    code, out, err = fj(
        "schedule", "create", "s", "--template", "look", "-p", "node=web2", "--every", "1h"
    )

    assert (code, err) == (0, "")
    assert "template look node=web2" in out
    pinned = fj("schedule", "create", "p", "--template", "look@1", "--every", "1h")[1]
    assert "template look@1" in pinned


def test_python_runs_a_template(asked: Fleet, fj: Fj, tree: Path) -> None:
    fj("template", "apply", str(tree))

    job = Template.find(asked, "look").run(node="web3")

    assert job.document["template_label"] == "look"
    assert job.document["target"] == {"identities": ["web3"]}


@pytest.mark.spec("S1-36")
def test_a_schedule_that_settings_switch_off_says_so(fj: Fj, house: House) -> None:
    sowing = Sowing(house.database, house.now)
    sowing.sow("acme")
    sowing.bar(["vacuum-default"])

    listed = fj("schedule", "list")[1].splitlines()

    (off,) = [line for line in listed if line.startswith("vacuum-default")]
    assert "disabled (config)" in off
    assert sum("disabled" in line for line in listed) == 1
