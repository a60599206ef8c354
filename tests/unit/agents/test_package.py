"""The package agent works the real apt and dpkg, on a system of its own in a directory."""

import fcntl
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fleetjobs.errors import InvalidInput
from tests.agent_programs import ROOT, call, take_reply
from tests.apt_system import System, make_system
from tests.processes import wait_for

AGENT = ROOT / "agents" / "package"
pytestmark = [
    pytest.mark.skipif(not shutil.which("apt-get"), reason="this machine has no apt"),
    pytest.mark.spec("S0-14"),
]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="dpkg gives files to root")


@pytest.fixture
def system(tmp_path: Path) -> System:
    return make_system(tmp_path)


def test_a_package_of_this_machine_is_known(tmp_path: Path) -> None:
    """The machine's own state, only looked at."""
    version = subprocess.check_output(["dpkg-query", "-W", "-f", "${Version}", "dpkg"], text=True)

    known = call(AGENT, tmp_path / "work", "status", {"name": "dpkg"})
    unknown = call(AGENT, tmp_path / "work", "status", {"name": "no-such-package"})

    assert known.data["installed"] is True
    assert known.data["version"] == version
    assert unknown.data == {
        "provider": "apt",
        "name": "no-such-package",
        "installed": False,
        "version": None,
        "candidate": None,
    }


@pytest.mark.timeout(400)  # apt takes its time on a machine with many updates and much to do
def test_the_updates_of_this_machine_are_those_that_apt_lists(tmp_path: Path) -> None:
    simulated = subprocess.check_output(["apt-get", "-s", "dist-upgrade"], text=True)

    found = call(AGENT, tmp_path / "work", "checkupdates", {})

    updated = {line.split()[1] for line in simulated.splitlines() if re.match(r"Inst \S+ \[", line)}
    assert {update["name"] for update in found.data["updates"]} == updated
    assert found.data["count"] == len(updated)


@as_root
def test_a_package_is_installed_with_what_it_needs(system: System) -> None:
    system.offer("library", "1.0")
    system.offer("tool", "1.0", depends="library")

    first = system.do("install", name="tool", refresh=True)
    second = system.do("install", name="tool")

    assert first == [("library", None, "1.0"), ("tool", None, "1.0")]
    assert second == []
    assert (system.root / "etc/tool.conf").read_text() == "made by 1.0\n"


@as_root
def test_updates_are_seen_and_done_one_by_one_or_all(system: System) -> None:
    for name in ("one", "two"):
        system.offer(name, "1.0")
        system.do("install", name=name, refresh=True)
        system.offer(name, "1.1")

    seen = system.call("checkupdates", refresh=True)
    one = system.do("update", name="one")
    rest = system.do("update", all=True)

    assert seen.data["updates"] == [
        {"name": "one", "old": "1.0", "new": "1.1"},
        {"name": "two", "old": "1.0", "new": "1.1"},
    ]
    assert one == [("one", "1.0", "1.1")]
    assert rest == [("two", "1.0", "1.1")]
    assert system.do("update", all=True) == []


@as_root
def test_an_older_version_has_to_be_allowed(system: System) -> None:
    system.offer("tool", "1.0")
    system.offer("tool", "2.0")
    system.do("install", name="tool", refresh=True)

    refused = system.call("install", name="tool", version="1.0")

    assert refused.reply is not None
    assert refused.reply["statuscode"] == 1
    assert "downgrade" in refused.reply["statusmsg"]
    assert refused.data["version"] == "2.0"
    assert system.do("install", name="tool", version="1.0", downgrade=True) == [
        ("tool", "2.0", "1.0")
    ]


@as_root
def test_what_needs_a_removed_package_goes_with_it_and_is_told(system: System) -> None:
    system.offer("library", "1.0")
    system.offer("tool", "1.0", depends="library")
    system.do("install", name="tool", refresh=True)

    removed = system.do("remove", name="library")
    again = system.do("remove", name="library")
    kept = (system.root / "etc/tool.conf").exists()
    system.do("remove", name="tool", purge=True)

    assert removed == [("library", "1.0", None), ("tool", "1.0", None)]
    assert again == []
    assert kept
    assert not (system.root / "etc/tool.conf").exists()


@as_root
def test_nothing_asks_a_question(system: System) -> None:
    """A changed configuration file stays, and a script that asks gets no answer."""
    system.offer("tool", "1.0")
    system.do("install", name="tool", refresh=True)
    (system.root / "etc/tool.conf").write_text("changed here\n")
    system.offer("tool", "2.0", postinst='read answer || echo "frontend=$DEBIAN_FRONTEND"')
    updated = system.call("update", name="tool", refresh=True)

    assert updated.data["version"] == "2.0"
    assert b"frontend=noninteractive" in updated.stdout
    assert (system.root / "etc/tool.conf").read_text() == "changed here\n"


@as_root
def test_a_script_that_fails_is_told_with_what_changed_nevertheless(system: System) -> None:
    system.offer("library", "1.0")
    system.offer("tool", "1.0", depends="library", postinst="echo no luck >&2; exit 3")

    failed = system.call("install", name="tool", refresh=True)

    assert failed.reply is not None
    assert failed.reply["statuscode"] == 1
    assert "E: Sub-process" in failed.reply["statusmsg"]
    assert failed.data["changes"] == [{"name": "library", "old": None, "new": "1.0"}]
    assert failed.data["version"] is None
    assert b"no luck" in failed.stderr


@as_root
def test_a_daemon_that_a_script_starts_does_not_hold_the_reply_back(
    system: System, tmp_path: Path
) -> None:
    pid_file = tmp_path / "pid"
    system.offer("tool", "1.0", postinst=f"sleep 60 & echo $! >{pid_file}")
    system.call("checkupdates", refresh=True)

    done = system.start("install", tmp_path / "output", name="tool")
    try:
        done.wait(timeout=30)
        daemon = Path("/proc", pid_file.read_text().strip())
        streams = [str((daemon / "fd" / number).readlink()) for number in "012"]
        environment = (daemon / "environ").read_bytes()
    finally:
        os.kill(int(pid_file.read_text()), signal.SIGKILL)

    assert take_reply(system.work) is not None
    assert str(tmp_path / "output") not in streams
    assert b"FLEETJOBS_" not in environment


@as_root
@pytest.mark.parametrize(
    ("lock", "data"),
    [
        ("var/lib/dpkg/lock-frontend", {"name": "tool"}),
        ("var/lib/apt/lists/lock", {"name": "tool", "refresh": True}),
    ],
)
def test_it_waits_while_another_tool_has_the_lock(
    lock: str, data: dict[str, Any], system: System, tmp_path: Path
) -> None:
    system.offer("tool", "1.0")
    system.call("checkupdates", refresh=True)
    output = tmp_path / "output"
    with (system.root / lock).open("w") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        running = system.start("install", output, **data)
        wait_for(lambda: "Could not get lock" in output.read_text(), within=20)

    running.wait(timeout=30)

    reply = take_reply(system.work)
    assert reply is not None
    assert reply["data"]["version"] == "1.0"


@as_root
def test_what_a_killed_dpkg_left_is_finished_first(system: System) -> None:
    system.offer("first", "1.0")
    system.offer("second", "1.0")
    system.do("install", name="first", refresh=True)
    status = (system.root / "var/lib/dpkg/status").read_text()
    (system.root / "var/lib/dpkg/updates/0000").write_text(status)

    assert system.do("install", name="second") == [("second", None, "1.0")]


@as_root
def test_a_name_is_neither_a_pattern_nor_an_option(system: System) -> None:
    system.offer("tool", "1.0")

    unknown = system.call("install", name="t.ol", refresh=True)

    assert unknown.reply is not None
    assert unknown.reply["statusmsg"] == "there is no package t.ol"
    for name in ("tool-", "-tool", "tool=1", "tool*", "tool other", "../tool", "tool/stable"):
        with pytest.raises(InvalidInput):
            system.call("install", name=name)
