"""Every agent keeps the contract: its interface is valid, and its cases come out as written."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.agent_programs import DIRECTORIES, ROOT, call, interface_of, require_interpreter

CASES = [path for directory in DIRECTORIES for path in sorted(directory.glob("cases/*.json"))]
TYPES = {"<integer>": int, "<number>": (int, float), "<string>": str}


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT).with_suffix("")) for path in paths]


@pytest.mark.spec("S0-07")
@pytest.mark.parametrize("path", CASES, ids=names(CASES))
def test_a_case_comes_out_as_written(path: Path, tmp_path: Path) -> None:
    """See agents/README.md, Cases."""
    require_interpreter(path.parents[1])
    case = json.loads(path.read_text().replace("$DIR", str(tmp_path)))
    for name, content in case.get("files", {}).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)

    called = call(
        path.parents[1],
        tmp_path / "work",
        case["request"]["action"],
        case["request"]["data"],
        **{key: case[key] for key in ("attempt", "node", "env") if key in case},
    )

    assert called.exit_code == case.get("exit_code", 0), called.stderr
    assert called.stdout.decode() == case.get("stdout", called.stdout.decode())
    assert called.stderr.decode() == case.get("stderr", called.stderr.decode())
    assert_holds(called.reply, case["reply"])
    if called.reply:
        declared = interface_of(path.parents[1]).action(case["request"]["action"])
        assert set(called.data) <= set(declared.outputs)
        assert called.reply["statuscode"] or set(called.data) == set(declared.outputs)


@pytest.mark.parametrize("directory", DIRECTORIES, ids=names(DIRECTORIES))
def test_every_action_says_how_long_it_may_take_and_whether_it_may_be_repeated(
    directory: Path,
) -> None:
    interface = interface_of(directory)

    own = interface.document["fleetjobs"]["actions"]

    assert set(own) == set(interface.actions)
    assert all({"idempotent", "timeout_s"} <= set(said) for said in own.values())


def assert_holds(found: Any, wanted: Any) -> None:
    """Objects hold at least what is wanted; `<integer>` and the like stand for any of the type."""
    if isinstance(wanted, dict):
        assert isinstance(found, dict)
        for key, value in wanted.items():
            assert key in found
            assert_holds(found[key], value)
    elif isinstance(wanted, str) and wanted in TYPES:
        assert isinstance(found, TYPES[wanted])
    else:
        assert found == wanted
