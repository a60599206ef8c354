"""The service agent works real init scripts, and asks systemctl the right things."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleetjobs.errors import InvalidInput
from tests.agent_programs import ROOT, Called, call
from tests.init_services import init_service

AGENT = ROOT / "agents" / "service"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[str]:
    """The name of a real service of this machine, that goes with the test."""
    with init_service(tmp_path) as name:
        yield name


def ask(work: Path, action: str, name: str, **more: Any) -> Called:
    return call(AGENT, work / "work", action, {"name": name}, **more)


@pytest.mark.spec("S0-14")
def test_a_service_is_started_stopped_and_restarted(service: str, tmp_path: Path) -> None:
    def told(action: str) -> tuple[str, bool]:
        done = ask(tmp_path, action, service)
        assert done.reply is not None
        assert done.reply["statuscode"] == 0, done.reply
        assert done.data["provider"] == "sysv"
        return done.data["status"], done.data.get("changed", False)

    assert told("status") == ("stopped", False)
    assert told("start") == ("running", True)
    first = (tmp_path / "pid").read_text()
    assert told("start") == ("running", False)
    assert told("restart") == ("running", True)
    assert (tmp_path / "pid").read_text() != first
    assert told("stop") == ("stopped", True)
    assert told("stop") == ("stopped", False)


def test_a_started_daemon_is_outside_the_process_group_of_its_run(
    service: str, tmp_path: Path
) -> None:
    """So ending the run's group, as cancelling does, leaves the service alone."""
    done = ask(tmp_path, "start", service)

    daemon = int((tmp_path / "pid").read_text())
    assert os.getsid(daemon) != os.getsid(0)
    assert b"PATH=/usr/local/sbin:" in done.stdout


def test_a_dead_service_with_a_pid_file_is_failed(service: str, tmp_path: Path) -> None:
    beyond_all_pids = 2**22 + 1
    (tmp_path / "pid").write_text(str(beyond_all_pids))

    assert ask(tmp_path, "status", service).data["status"] == "failed"


def test_a_service_that_does_not_start_is_no_success(service: str, tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    broken = ask(tmp_path, "start", service)
    (tmp_path / "broken").unlink()
    (tmp_path / "dies").touch()
    dead = ask(tmp_path, "start", service)

    assert broken.reply is not None
    assert broken.reply["statuscode"] == 1
    assert "no luck" in broken.reply["statusmsg"]
    assert broken.data["status"] == "stopped"
    assert dead.reply is not None
    assert dead.reply["statuscode"] == 1
    assert dead.reply["statusmsg"] == f"{service} was started and is stopped"


def test_a_service_is_enabled_and_disabled(service: str, tmp_path: Path) -> None:
    def told(action: str) -> tuple[bool, bool]:
        done = ask(tmp_path, action, service)
        return done.data["enabled"], done.data.get("changed", False)

    assert told("status") == (False, False)
    assert told("enable") == (True, True)
    assert told("enable") == (True, False)
    assert told("disable") == (False, True)
    assert told("enable") == (True, True)


@pytest.mark.parametrize("name", ["../passwd", "-H", "a b", "a;b", "a/b", ".hidden", ""])
def test_a_name_is_neither_a_path_nor_an_option(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        ask(tmp_path, "status", name)


SYSTEMCTL = """#!/bin/sh
echo "$@" >>{directory}/asked
case " $* " in
*" show "*) cat {directory}/unit ;;
*" is-enabled "*) echo enabled ;;
*) cat {directory}/after >{directory}/unit ;;
esac
"""


@pytest.fixture
def systemd(tmp_path: Path) -> Path:
    """A directory with a systemctl that knows one unit: what it shows is in `unit`."""
    program = tmp_path / "systemctl"
    program.write_text(SYSTEMCTL.format(directory=tmp_path))
    program.chmod(0o755)
    return tmp_path


def unit(active: str, *, load: str = "loaded", file: str = "enabled", kind: str = "simple") -> str:
    return f"LoadState={load}\nActiveState={active}\nUnitFileState={file}\nType={kind}\n"


def steer(systemd: Path, action: str, before: str, after: str = "") -> dict[str, Any]:
    """The reply of an action on a machine that systemd runs."""
    (systemd / "unit").write_text(before)
    (systemd / "after").write_text(after)
    program = (
        "import sys, json, pathlib\n"
        f"sys.path.insert(0, {str(AGENT)!r})\n"
        "import service, service_commands\n"
        "from fleetjobs.agent import Node, act\n"
        f"service.BOOTED = pathlib.Path({str(systemd)!r})\n"
        f"service_commands.ENVIRONMENT['PATH'] = {str(systemd)!r} + ':/usr/bin:/bin'\n"
        f"request = {{'action': {action!r}, 'data': {{'name': 'web'}}}}\n"
        "print(json.dumps(act(service.Service, request, Node({}))))\n"
    )
    env = {**os.environ, "PATH": f"{systemd}:{os.environ['PATH']}"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, check=True, capture_output=True, text=True
    )
    reply: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return reply


@pytest.mark.parametrize(
    ("shown", "status", "enabled"),
    [
        (unit("active"), "running", True),
        (unit("inactive", file="disabled"), "stopped", False),
        (unit("failed", file="static"), "failed", None),
        (unit("activating", file="generated"), "starting", True),
        (unit("maintenance", file=""), "unknown", None),
    ],
)
def test_units_are_read_as_systemd_shows_them(
    *, shown: str, status: str, enabled: bool | None, systemd: Path
) -> None:
    reply = steer(systemd, "status", shown)

    assert reply["data"] == {
        "name": "web",
        "status": status,
        "enabled": enabled,
        "provider": "systemd",
    }


def test_a_unit_is_started_by_argv(systemd: Path) -> None:
    reply = steer(systemd, "start", unit("inactive"), unit("active"))

    assert reply["data"]["status"] == "running"
    assert reply["data"]["changed"] is True
    assert "--no-ask-password --no-pager start -- web" in (systemd / "asked").read_text()


def test_a_unit_that_fails_at_once_is_no_success(systemd: Path) -> None:
    """`systemctl start` of a simple service succeeds before the service has shown that it works."""
    assert steer(systemd, "start", unit("inactive"), unit("failed"))["statuscode"] == 1


def test_a_unit_that_does_its_work_and_ends_is_a_success(systemd: Path) -> None:
    reply = steer(
        systemd, "start", unit("inactive", kind="oneshot"), unit("inactive", kind="oneshot")
    )

    assert reply["statuscode"] == 0


def test_an_unknown_unit_is_told(systemd: Path) -> None:
    reply = steer(systemd, "start", unit("inactive", load="not-found"))

    assert reply["statuscode"] == 1
    assert reply["statusmsg"] == "there is no service web"
