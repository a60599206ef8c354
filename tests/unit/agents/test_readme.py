"""What agents/README.md shows is what there is."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from fleetjobs import agent as python
from tests.agent_programs import DIRECTORIES, ROOT, interface_of

PAGE = (ROOT / "agents/README.md").read_text()
EXAMPLE = ROOT / "docs/examples/disk"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_shell_agent_on_the_page_is_the_one_that_is_tested() -> None:
    assert (EXAMPLE / "disk").read_text() in blocks("sh")


@pytest.mark.spec("S0-06")
def test_the_commands_on_the_page_get_a_reply(tmp_path: Path) -> None:
    commands = blocks("sh")[1].replace("docs/examples", str(ROOT / "docs/examples"))

    shown = subprocess.check_output(["sh", "-ec", commands], cwd=tmp_path, text=True)

    assert json.loads(shown.partition("\n")[2])["statuscode"] == 0


@pytest.mark.skipif(not shutil.which("dash"), reason="takes a shell with nothing but POSIX")
def test_the_shell_agent_needs_no_more_than_a_posix_shell() -> None:
    subprocess.run(["dash", "-n", EXAMPLE / "disk"], check=True)
    assert os.access(EXAMPLE / "disk", os.X_OK)


def test_the_agent_in_python_works(tmp_path: Path) -> None:
    (tmp_path / "greet.py").write_text(blocks("python")[0])
    loaded = python.load(tmp_path / "greet.py")
    request = {"action": "hello", "data": {"name": "you", "times": 2}}

    reply = python.act(loaded, request, python.Node({}))

    assert reply["data"] == {"text": "hello you, hello you, "}


def test_the_documents_on_the_page_are_json() -> None:
    for block in blocks("json"):
        json.loads(block if block.startswith("{") else f"{{{block}}}")


def test_every_agent_and_action_is_on_the_page() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", PAGE, re.MULTILINE))
    for directory in DIRECTORIES:
        if directory.parent == ROOT / "agents":
            shown = set(re.findall(r"`(\w+)`", rows[directory.name]))
            assert shown == set(interface_of(directory).actions)
