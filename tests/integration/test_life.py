"""The life of jobs on a real fleet, as a person leads it from the command line."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fleetjobs.client import rpcclient
from fleetjobs.client.fleet import Fleet
from fleetjobs.client.jobs import Job
from fleetjobs.client.profile import read_profile
from fleetjobs.client.transport import Transport
from fleetjobs.states import State
from tests.integration.conftest import Fj
from tests.processes import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def shown(fj: Fj, job: str) -> dict[str, Any]:
    """The job and its runs."""
    found: dict[str, Any] = json.loads(fj("job", "show", job, "--json"))
    return found


def state_of(fj: Fj, job: str) -> str:
    return str(shown(fj, job)["state"])


def ended(fj: Fj, job: str) -> dict[str, Any]:
    """The job once it has ended."""
    wait_for(lambda: State(state_of(fj, job)).is_terminal, within=40)
    return shown(fj, job)


@pytest.mark.spec("S0-04")
def test_a_running_job_is_cancelled_and_its_processes_are_gone(fj: Fj) -> None:
    job = fj("submit", "demo", "sleep", "seconds=300", "-I", "node1")
    wait_for(lambda: state_of(fj, job) == "running", within=20)

    said = fj("job", "cancel", job, "--timeout", "20s")

    assert said.endswith("is cancelled.")
    [run] = shown(fj, job)["runs"]
    assert (run["state"], run["statusmsg"]) == ("cancelled", "cancelled")


@pytest.mark.spec("S0-05", "S1-22", "S1-12")
def test_a_job_for_later_is_moved_and_changed_and_then_runs_so(fj: Fj) -> None:
    job = fj("submit", "demo", "echo", "text=a", "-I", "node1", "--at", "+2h")
    assert state_of(fj, job) == "scheduled"

    assert fj("job", "edit", job, "text=b", "--delay", "1s").endswith("is changed.")

    found = ended(fj, job)
    assert found["state"] == "succeeded"
    assert "b" in json.dumps(found["runs"][0]["data"])
    fj("job", "edit", job, "text=c", code=1)


@pytest.mark.spec("S1-24")
def test_a_job_on_a_nodes_disk_is_cancelled_before_it_begins(fj: Fj) -> None:
    """Due within the hour it lies there already; the node confirms that it will not begin."""
    job = fj("submit", "demo", "echo", "text=a", "-I", "node1", "--at", "+10m")
    wait_for(lambda: state_of(fj, job) == "queued", within=20)

    assert fj("job", "cancel", job, "--timeout", "10s").endswith("is cancelled.")
    found = shown(fj, job)
    assert (found["state"], found["confirmed"], found["started_at"]) == ("cancelled", True, None)


def test_a_job_on_a_nodes_disk_is_held_changed_and_released(fj: Fj) -> None:
    job = fj("submit", "demo", "echo", "text=a", "-I", "node1", "--at", "+10m")
    wait_for(lambda: state_of(fj, job) == "queued", within=20)

    assert fj("job", "hold", job, "--timeout", "10s").endswith("is held.")
    assert state_of(fj, job) == "paused"
    fj("job", "edit", job, "text=z", "--delay", "0s", "--start-before", "+1h")
    fj("job", "release", job)

    found = ended(fj, job)
    assert found["state"] == "succeeded"
    assert "z" in json.dumps(found["runs"][0]["data"])


@pytest.mark.spec("S0-09")
def test_a_job_waits_for_another_on_another_node(fj: Fj) -> None:
    first = fj("submit", "demo", "sleep", "seconds=0.5", "-I", "node1", "--at", "+2h")
    second = fj("submit", "demo", "echo", "text=a", "-I", "node2", "--after", f"{first}@node1")
    assert shown(fj, second)["wait_reason"] == "dependency"
    fj("job", "edit", first, "--delay", "0s")

    found = ended(fj, second)

    assert found["state"] == "succeeded"
    assert found["runs"][0]["started_at"] >= shown(fj, first)["runs"][0]["ended_at"]


@pytest.mark.spec("S0-09")
def test_a_job_is_skipped_when_the_other_fails(fj: Fj) -> None:
    first = fj("submit", "demo", "out", "code=3", "-I", "node1", "--delay", "2s")
    second = fj("submit", "demo", "echo", "text=a", "-I", "node2", "--after", first)

    found = ended(fj, second)

    assert (found["state"], found["reason"]) == ("skipped", "dependency_failed")
    assert first in found["runs"][0]["statusmsg"]


@pytest.mark.spec("S1-16")
def test_a_failed_run_is_tried_again(fj: Fj) -> None:
    job = fj("submit", "demo", "fail", "times=1", "-I", "node1", "--retries", "2")

    found = ended(fj, job)

    assert (found["state"], found["runs"][0]["attempt"]) == ("succeeded", 2)


@pytest.mark.spec("S1-13", "S1-23")
def test_a_failed_job_is_run_again(fj: Fj) -> None:
    job = fj("submit", "demo", "out", "code=3", "-I", "node1")
    [run] = ended(fj, job)["runs"]
    assert (run["state"], run["reason"], run["exit_code"]) == ("failed", "exit_code", 3)

    again = fj("job", "rerun", job)

    assert ended(fj, again)["state"] == "failed"
    assert shown(fj, again)["rerun_of"] == job


@pytest.mark.spec("S0-03")
def test_a_node_tells_what_runs_on_it_while_it_runs(fj: Fj) -> None:
    job = fj("submit", "demo", "sleep", "seconds=20", "-I", "node1")
    wait_for(lambda: state_of(fj, job) == "running", within=20)

    [live] = json.loads(fj("job", "show", job, "--live", "--json"))["live"]

    assert (live["node"], live["runs"][0]["stage"]) == ("node1", "started")
    fj("job", "cancel", job)


def test_how_far_a_program_is_shows_while_it_runs(fj: Fj, state: Path) -> None:
    """On record for whoever looks, and told to whoever waits."""
    job = fj("submit", "demo", "sleep", "seconds=60", "-I", "node1")
    asked = Fleet(Transport(read_profile(state / "client.toml")))
    replies = Job(asked, asked.job(job)).replies(timeout=60)

    wait_for(lambda: replies.next(0.5) or replies.percent, within=40)
    found = shown(fj, job)

    assert replies.percent is not None
    assert found["percent_complete"] >= replies.percent > 0
    assert found["runs"][0]["progress"]["percent"] == found["percent_complete"]
    assert "s left" in fj("job", "show", job)
    replies.close()
    fj("job", "cancel", job, "--timeout", "20s")


@pytest.mark.spec("S0-03")
def test_a_log_is_followed_while_it_is_written(fj: Fj) -> None:
    words = ("stdout=hello", "stderr=oh", "-I", "node1")
    job = fj("submit", "demo", "out", *words, "--delay", "1s")

    assert fj("job", "logs", job, "--follow", "--stream", "stdout") == "hello"


@pytest.mark.spec("S1-11")
def test_a_paused_coordinator_keeps_what_it_is_asked(fj: Fj) -> None:
    fj("coordinator", "pause", "--relay")
    try:
        job = fj("submit", "demo", "echo", "text=a", "-I", "node1")
        fj("coordinator", "check", code=1)
        wait_for(lambda: shown(fj, job)["wait_reason"] == "outbox")
        assert job in fj("coordinator", "outbox", "list")
    finally:
        fj("coordinator", "resume")
    assert ended(fj, job)["state"] == "succeeded"
    fj("coordinator", "check")


@pytest.mark.spec("S1-21")
def test_what_is_held_for_too_long_expires(fj: Fj) -> None:
    job = fj("submit", "demo", "echo", "text=a", "-I", "node1", "--at", "+2h")
    fj("job", "hold", job)
    fj("job", "edit", job, "--delay", "0s", "--start-before", "+2s")

    found = ended(fj, job)

    assert (found["state"], found["started_at"]) == ("expired", None)


@pytest.mark.spec("S1-05")
def test_jobs_start_in_the_order_of_their_times(fj: Fj) -> None:
    soon_at = datetime.now(UTC) + timedelta(seconds=6)  # both are known by then
    late_at = soon_at + timedelta(seconds=2)
    late, soon = [
        fj("submit", "demo", "echo", "text=a", "-I", "node1", "--at", moment.isoformat())
        for moment in (late_at, soon_at)
    ]

    assert ended(fj, soon)["started_at"] < ended(fj, late)["started_at"]


@pytest.mark.spec("S1-30")
def test_an_action_runs_here_and_is_recorded(fj: Fj) -> None:
    said = fj("run-local", "demo", "out", "stdout=hello", "--node", "node2")

    assert "hello" in said
    assert shown(fj, "last")["state"] == "succeeded"


@pytest.mark.spec("S0-02", "S0-14")
def test_puppet_runs_in_the_background_and_its_output_is_read_later(fj: Fj, state: Path) -> None:
    """As SimpleRPC's authors wrote it; the puppet of this node ends as one that changed a thing."""
    program = state / "bin/puppet"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho Notice: puppet $*\nexit 2\n")
    program.chmod(0o755)
    added = state / "nodes/node1/environment/puppet"
    added.parent.mkdir(exist_ok=True)
    added.write_text(f"PATH={program.parent}:/usr/bin:/bin\n")
    puppet = rpcclient("puppet", nodes=["node1"], config=state / "client.toml")

    background = puppet.runonce(forcerun=True, schedule="background")
    later = puppet.schedule(at="+1s").runonce(noop=True)

    assert isinstance(background, Job)
    assert background.wait(30)
    assert later.wait(30)
    assert (background.state, later.state) == (State.SUCCEEDED, State.SUCCEEDED)
    assert "Notice: puppet agent --test --color=false" in fj("job", "logs", background.id, "node1")
    assert "Notice: puppet agent --test --noop" in fj("job", "logs", later.id, "node1")
