"""The puppet agent asks puppet the right things, and reads its exit codes rightly."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from fleetjobs.errors import InvalidInput
from tests.agent_programs import PATH, ROOT, Called, call

AGENT = ROOT / "agents" / "puppet"
PUPPET = shutil.which("puppet")

STAND_IN = """#!/bin/sh
# puppet, as far as the agent knows it: what it is asked, what it writes, how it ends
state={place}/state
echo "$@" >>{place}/asked
case "$*" in
"config print "*)
    echo "agent_disabled_lockfile = $state/disabled"
    echo "agent_catalog_run_lockfile = $state/lock"
    echo "lastrunfile = $state/summary.yaml"
    ;;
"agent --enable") rm -f $state/disabled ;;
"agent --disable "*) shift 2; printf '{{"disabled_message":"%s"}}' "$*" >$state/disabled ;;
*)
    env | grep FLEETJOBS
    echo "Error: Facter: Permission denied" >&2
    cat {place}/says >&2
    exit "$(cat {place}/code)"
    ;;
esac
"""

SUMMARY = """---
version: {config: 1795299676, puppet: 7.23.0}
resources: {changed: 1, corrective_change: 0, failed: 2, out_of_sync: 3, total: 8}
time: {config_retrieval: 0.12, total: 2.504, last_run: 1795299676}
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with a puppet that ends as its file `code` says."""
    (tmp_path / "state").mkdir()
    program = tmp_path / "puppet"
    program.write_text(STAND_IN.format(place=tmp_path))
    program.chmod(0o755)
    ends(tmp_path, 0)
    return tmp_path


def ends(place: Path, code: int, says: str = "Notice: Applied catalog in 0.02 seconds\n") -> None:
    """How its next run ends."""
    (place / "code").write_text(str(code))
    (place / "says").write_text(says)


def ask(place: Path, action: str, path: str = PATH, **data: Any) -> Called:
    return call(AGENT, place / "work", action, data, env={"PATH": f"{place}:{path}"})


def words(called: Called) -> str:
    assert called.reply is not None, called.stderr
    return f"{called.reply['statuscode']} {called.reply['statusmsg']}"


def asked(place: Path) -> list[str]:
    return (place / "asked").read_text().splitlines()


@pytest.mark.spec("S0-14")
@pytest.mark.parametrize(
    ("code", "outcome", "changed"), [(0, "unchanged", False), (2, "changed", True)]
)
def test_a_run_that_ends_well_is_a_success_with_changes_or_without(
    *, code: int, outcome: str, changed: bool, place: Path
) -> None:
    ends(place, code)

    done = ask(place, "runonce")

    assert words(done) == "0 OK"
    assert done.data == {"exit_code": code, "outcome": outcome, "changed": changed}
    assert b"Notice: Applied catalog in 0.02 seconds\n" in done.stdout
    assert asked(place) == ["agent --test --color=false"]


@pytest.mark.spec("S0-14")
@pytest.mark.parametrize(
    ("code", "outcome", "changed"),
    [
        (1, "not run", False),
        (4, "failed", False),
        (6, "partly failed", True),
        (137, "unknown", False),
    ],
)
def test_a_run_that_ends_otherwise_has_failed_and_says_why(
    *, code: int, outcome: str, changed: bool, place: Path
) -> None:
    """Facts that cannot be found out stop no run, and are not the reason."""
    ends(place, code, "Error: no luck\nNotice: Applied catalog\n")

    done = ask(place, "runonce")

    assert words(done) == f"1 puppet agent ended with {code}, {outcome}: Error: no luck"
    assert (done.data["exit_code"], done.data["changed"]) == (code, changed)


def test_what_is_asked_for_becomes_options_of_puppet(place: Path) -> None:
    ask(place, "runonce", noop=True, tags="ntp,ssh::server", environment="qa", server="p.test")
    ask(place, "runonce", forcerun=False)
    ask(place, "apply", manifest=str(place / "says"), noop=True)

    usual = "--onetime --no-daemonize --verbose --show_diff --no-usecacheonfailure"
    assert asked(place) == [
        "agent --test --noop --tags=ntp,ssh::server --environment=qa --server=p.test --color=false",
        f"agent {usual} --detailed-exitcodes --splay --color=false",
        f"apply --detailed-exitcodes --verbose --show_diff --noop {place}/says --color=false",
    ]


@pytest.mark.parametrize(
    ("action", "data"),
    [
        ("runonce", {"tags": "--noop"}),
        ("runonce", {"environment": "a b"}),
        ("runonce", {"server": "-x"}),
        ("apply", {"manifest": "-e"}),
        ("disable", {"message": "--help"}),
    ],
)
def test_no_input_is_taken_for_an_option(action: str, data: dict[str, str], place: Path) -> None:
    with pytest.raises(InvalidInput):
        ask(place, action, **data)


def test_what_puppet_starts_is_no_part_of_the_run(place: Path) -> None:
    """Ending a run finds its processes by the environment; a restarted service has to stay."""
    assert b"FLEETJOBS_REQUEST" not in ask(place, "runonce").stdout


def test_it_is_disabled_with_a_reason_and_enabled_again(place: Path) -> None:
    def told(action: str, **data: str) -> tuple[str, str, bool | None]:
        done = ask(place, action, **data)
        assert words(done) == "0 OK"
        return done.data["status"], done.data["disable_message"], done.data.get("changed")

    assert told("status") == ("idling", "", None)
    assert told("disable", message="new disks") == ("disabled", "new disks", True)
    assert told("disable", message="another") == ("disabled", "new disks", False)
    assert told("enable") == ("idling", "", True)
    assert told("enable") == ("idling", "", False)


def test_a_run_at_work_is_seen_and_a_lock_left_behind_is_not_believed(place: Path) -> None:
    lock = place / "state/lock"
    lock.write_text(str(os.getpid()))
    assert ask(place, "status").data["status"] == "applying a catalog"

    beyond_all_pids = 2**22 + 1
    lock.write_text(str(beyond_all_pids))
    assert ask(place, "status").data["status"] == "idling"


def test_the_last_run_is_summed_up(place: Path) -> None:
    assert words(ask(place, "last_run_summary")) == "1 Puppet has not run here yet"
    (place / "state/summary.yaml").write_text(SUMMARY)

    data = ask(place, "last_run_summary").data

    assert data["summary"]["resources"]["corrective_change"] == 0
    assert {name: data[name] for name in data if name.endswith("_resources")} == {
        "total_resources": 8,
        "changed_resources": 1,
        "failed_resources": 2,
        "out_of_sync_resources": 3,
    }
    assert (data["lastrun"], data["total_time"]) == (1795299676, 2.5)
    assert data["config_version"] == "1795299676"


@pytest.mark.skipif(Path("/opt/puppetlabs/bin/puppet").exists(), reason="takes one without puppet")
def test_a_node_without_puppet_says_so(tmp_path: Path) -> None:
    done = ask(tmp_path, "runonce", path=str(tmp_path))

    assert words(done).startswith("1 puppet is not installed here: ")


@pytest.mark.slow
@pytest.mark.spec("S0-14")
@pytest.mark.skipif(PUPPET is None, reason="takes puppet")
def test_the_real_puppet_is_read_rightly(tmp_path: Path) -> None:
    """It changes a file, tells so, is disabled, and refuses to run."""
    options = " ".join(f"--{name}={tmp_path}/{name}" for name in ("confdir", "vardir", "publicdir"))
    program = tmp_path / "puppet"
    program.write_text(f'#!/bin/sh\nexec {PUPPET} "$@" {options}\n')
    program.chmod(0o755)
    manifest = tmp_path / "site.pp"
    manifest.write_text(f"file {{ '{tmp_path}/motd': content => \"hello\\n\" }}\n")

    first = ask(tmp_path, "apply", manifest=str(manifest))
    summed_up = ask(tmp_path, "last_run_summary")
    disabled = ask(tmp_path, "disable", message="no luck")
    refused = ask(tmp_path, "runonce")

    assert words(first) == "0 OK"
    assert first.data["outcome"] == "changed"
    assert b"ensure: defined content" in first.stdout
    assert (tmp_path / "motd").read_text() == "hello\n"
    assert summed_up.data["changed_resources"] == 1
    assert summed_up.data["since_lastrun"] < 300
    assert disabled.data["disable_message"] == "no luck"
    assert refused.data["outcome"] == "not run"
    assert "administratively disabled (Reason: 'no luck')" in words(refused)
