"""The package agent asks dnf and rpm the right things; both are stand-ins that note their argv."""

from pathlib import Path
from typing import Any

import pytest

from tests.agent_programs import ROOT, Called, call

AGENT = ROOT / "agents" / "package"

RPM = """#!/bin/sh
case "$*" in
*"-qa"*)
    printf 'kernel.x86_64\\t6.1-1\\nkernel.x86_64\\t6.2-1\\n'
    printf 'tool.noarch\\t%s\\n' "$(cat {place}/tool)" ;;
*" -- tool") cat {place}/tool ;;
*) echo "package is not installed"; exit 1 ;;
esac
"""
DNF = """#!/bin/sh
echo "$*" >>{place}/asked
case "$*" in
*check-update*)
    printf '\\ntool.noarch    1.1-1    updates\\nObsoleting Packages\\nnew.noarch 2-1 updates\\n'
    exit 100 ;;
*repoquery*) echo 1.1-1 ;;
*upgrade*|*install*|*downgrade*) echo 1.1-1 >{place}/tool ;;
*) echo "Error: no luck" >&2; exit 1 ;;
esac
"""


@pytest.fixture
def fedora(tmp_path: Path) -> Path:
    """A directory of programs as a node with dnf has them, and the version of `tool` there."""
    for name, script in (("rpm", RPM), ("dnf", DNF)):
        (tmp_path / name).write_text(script.format(place=tmp_path))
        (tmp_path / name).chmod(0o755)
    for name in ("sh", "cat"):
        (tmp_path / name).symlink_to(f"/bin/{name}")
    (tmp_path / "tool").write_text("1.0-1\n")
    return tmp_path


def ask(fedora: Path, action: str, **data: Any) -> Called:
    return call(AGENT, fedora / "work", action, data, env={"PATH": str(fedora)})


def test_dnf_is_used_where_there_is_no_apt(fedora: Path) -> None:
    assert ask(fedora, "status", name="tool").data == {
        "provider": "dnf",
        "name": "tool",
        "installed": True,
        "version": "1.0-1",
        "candidate": "1.1-1",
    }


def test_the_updates_of_dnf_come_with_old_versions(fedora: Path) -> None:
    updates = ask(fedora, "checkupdates").data["updates"]

    assert updates == [{"name": "tool.noarch", "old": "1.0-1", "new": "1.1-1"}]


@pytest.mark.parametrize(
    ("action", "data", "asked"),
    [
        ("update", {"name": "tool"}, "-y -q upgrade tool"),
        ("update", {"all": True}, "-y -q upgrade"),
        ("install", {"name": "tool", "version": "1.1-1"}, "-y -q install tool-1.1-1"),
        (
            "install",
            {"name": "tool", "version": "1.1-1", "downgrade": True},
            "-y -q downgrade tool-1.1-1",
        ),
    ],
)
def test_dnf_changes_packages_and_the_change_is_told(
    action: str, data: dict[str, Any], asked: str, fedora: Path
) -> None:
    done = ask(fedora, action, **data)

    assert done.reply is not None
    assert done.reply["statuscode"] == 0, done.reply
    assert done.data["changes"] == [{"name": "tool.noarch", "old": "1.0-1", "new": "1.1-1"}]
    assert asked in (fedora / "asked").read_text().splitlines()


def test_what_dnf_says_is_told(fedora: Path) -> None:
    done = ask(fedora, "remove", name="tool")

    assert done.reply is not None
    assert done.reply["statusmsg"] == "dnf ended with 1: Error: no luck"
