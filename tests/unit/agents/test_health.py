"""The health agent asks the checks of a node, and believes none that cannot be asked."""

from pathlib import Path

import pytest

from tests.agent_programs import PATH, ROOT, Called, call

AGENT = ROOT / "agents" / "health"


def check(place: Path, **data: float) -> Called:
    env = {"FLEETJOBS_HEALTH_CHECKS": str(place / "health.d"), "PATH": PATH}
    return call(AGENT, place / "work", "check", data, env=env)


def put(place: Path, name: str, script: str) -> None:
    directory = place / "health.d"
    directory.mkdir(exist_ok=True)
    (directory / name).write_text(f"#!/bin/sh\n{script}\n")
    (directory / name).chmod(0o755)


def test_a_node_is_well_if_all_checks_say_so(tmp_path: Path) -> None:
    put(tmp_path, "disk", "echo 40 percent")
    put(tmp_path, "web", "exit 0")

    done = check(tmp_path, at_least=2)

    assert done.reply is not None
    assert done.reply["statuscode"] == 0
    assert done.data == {"count": 2, "ill": []}
    assert b"40 percent" in done.stdout


def test_those_that_fail_are_named_with_their_last_words(tmp_path: Path) -> None:
    put(tmp_path, "disk", "echo looking; echo 97 percent; exit 2")
    put(tmp_path, "mail", "exit 3")
    put(tmp_path, "web", "exit 0")

    done = check(tmp_path)

    assert done.reply is not None
    assert done.reply["statuscode"] == 1
    assert done.reply["statusmsg"] == ("2 of 3 checks failed: disk: 97 percent; mail: ended with 3")
    assert done.data["ill"] == [
        {"name": "disk", "words": "97 percent"},
        {"name": "mail", "words": "ended with 3"},
    ]


@pytest.mark.parametrize(
    ("script", "words"), [("sleep 60", "took longer than 0.2 s"), (None, "cannot be run")]
)
def test_a_check_that_does_not_answer_has_failed(
    tmp_path: Path, script: str | None, words: str
) -> None:
    put(tmp_path, "web", script or "")
    if script is None:
        (tmp_path / "health.d/web").write_bytes(b"\x7fELF")

    done = check(tmp_path, within_s=0.2)

    assert done.reply is not None
    assert words in done.reply["statusmsg"]
