"""Schedules on a real fleet, from the command line."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.fake_sinks import Mailbox, mail_server
from tests.fleets import up
from tests.integration.conftest import Fj
from tests.processes import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def box() -> Iterator[Mailbox]:
    """What the fleet's mail server was given."""
    with mail_server() as box:
        yield box


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory, box: Mailbox) -> Iterator[Path]:
    """The directory of a fleet of two nodes that has a mail server."""
    place = tmp_path_factory.mktemp("fleet")
    mail = f'smtp_host = "127.0.0.1"\nsmtp_port = {box.port}\n'
    (place / "coordinator.toml").write_text(mail)
    with up(place, "--nodes", "2"):
        yield place


def jobs_of(fj: Fj, label: str) -> list[dict[str, Any]]:
    """The schedule's jobs, the first one first."""
    schedule = json.loads(fj("schedule", "show", label, "--json"))["id"]
    found = json.loads(fj("job", "list", "--json"))["items"]
    return sorted(
        (job for job in found if job["schedule"] == schedule), key=lambda job: job["occurrence"]
    )


ECHO = ("demo", "echo", "text=hi", "-I", "node1")


@pytest.mark.spec("S2-03")
def test_a_schedule_makes_jobs_that_run(fj: Fj) -> None:
    fj("schedule", "create", "pulse", *ECHO, "--every", "1s", "--overlap", "allow")

    assert wait_for(lambda: len(jobs_of(fj, "pulse")) >= 3, within=60.0)
    fj("schedule", "disable", "pulse")
    wait_for(lambda: all(job["ended_at"] for job in jobs_of(fj, "pulse")), within=60.0)

    jobs = jobs_of(fj, "pulse")
    assert {job["state"] for job in jobs} == {"succeeded"}
    assert [job["occurrence"] for job in jobs] == list(range(1, len(jobs) + 1))
    assert len({job["id"] for job in jobs}) == len(jobs)


@pytest.mark.spec("F6", "I6")
def test_a_coordinator_that_is_killed_makes_no_job_twice(fj: Fj, state: Path) -> None:
    """Killed again and again while occurrences come every second; `fj up` starts it anew."""
    fj("schedule", "create", "killed", *ECHO, "--every", "1s", "--overlap", "allow")
    for number in range(1, 4):
        wait_for(lambda least=number: len(jobs_of(fj, "killed")) >= least, within=60.0)  # type: ignore[misc]
        os.kill(coordinator(state), signal.SIGKILL)
    wait_for(lambda: len(jobs_of(fj, "killed")) >= 5, within=60.0)
    fj("schedule", "disable", "killed")
    wait_for(lambda: all(job["ended_at"] for job in jobs_of(fj, "killed")), within=60.0)

    made = json.loads(fj("schedule", "show", "killed", "--json"))["made"]
    jobs = jobs_of(fj, "killed")
    assert [job["occurrence"] for job in jobs] == list(range(1, made + 1))
    assert {job["state"] for job in jobs} == {"succeeded"}


def coordinator(state: Path) -> int:
    """The pid of the fleet's coordinator, once there is one."""
    mine = str(state / "coordinator.toml")

    def found() -> list[int]:
        return [
            process.pid
            for process in psutil.process_iter(["cmdline"])
            if mine in (process.info["cmdline"] or [])
        ]

    wait_for(lambda: bool(found()), within=60.0)
    return found()[0]


@pytest.mark.spec("S2-35")
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("b", *ECHO), "say when: --every, --cron, --rrule or --at"),
        (("b", *ECHO, "--cron", "0 4"), "has 2 fields, not five"),
        (("b", *ECHO, "--cron", "0 4 * * *", "--tz", "Mars"), "no time zone"),
        (("b", *ECHO, "--every", "1h", "--cron", "0 4 * * *"), "exclude each other"),
        (("b", *ECHO, "--at", "yesterday 4am"), "has passed"),
        (("no good", *ECHO, "--every", "1h"), "a label is"),
        (("b", "demo", "echo", "--every", "1h"), "needs text"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_kept(
    fj: Fj, words: tuple[str, ...], says: str
) -> None:
    assert says in fj("schedule", "create", *words, code=1)
    assert "there is no schedule 'b'" in fj("schedule", "show", "b", code=1)


def test_a_schedule_is_changed_in_parts_and_looked_at(fj: Fj) -> None:
    fj("schedule", "create", "nightly", *ECHO, "--cron", "0 4 * * *", "--tz", "Europe/Prague")

    fj("schedule", "edit", "nightly", "text=later", "--cron", "30 4 * * *")

    shown = fj("schedule", "show", "nightly")
    assert "demo.echo text=later" in shown
    assert "30 4 * * * Europe/Prague" in shown
    assert "04:30:00 +0" in shown
    assert "nightly" in fj("schedule", "list")
    fj("schedule", "delete", "nightly")
    assert "nightly" not in fj("schedule", "list")


INDICO = """
from fleetjobs.compat.indico import Client
from fleetjobs.compat.indico import SampleOneShotTask, SamplePeriodicTask
from datetime import timedelta
from dateutil import rrule
from fleetjobs.compat.indico import nowutc
from fleetjobs.compat.indico import dbi
c = Client()
st = SampleOneShotTask(nowutc() + timedelta(seconds=1))
print(c.enqueue(st))
dbi.commit()
pt = SamplePeriodicTask(rrule.MINUTELY, bysecond=(40,))
print(c.enqueue(pt))
dbi.commit()
c.dequeue(pt)
dbi.commit()
print(st.id, pt.id)
"""


@pytest.mark.spec("S1-08")
def test_indicos_own_example_runs_with_its_imports_changed(state: Path, fj: Fj) -> None:
    """What it enqueues runs once; what it dequeues never does."""
    environment = os.environ | {"FLEETJOBS_CONFIG": str(state / "client.toml")}
    done = subprocess.run(
        [sys.executable, "-c", INDICO], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    first, second, once, periodic = done.stdout.split()

    fj("job", "wait", once)

    assert (first, second) == ("True", "True")
    job = json.loads(fj("job", "show", once, "--json"))
    assert job["state"] == "succeeded"
    assert [run["node"] for run in job["runs"]] == ["@controller"]
    assert json.loads(fj("schedule", "show", periodic, "--json"))["ended_at"] is not None


@pytest.mark.spec("S2-30")
def test_three_failures_and_two_successes_are_two_mails_though_coordinators_die(
    fj: Fj, state: Path, box: Mailbox
) -> None:
    failing = ("demo", "out", "stdout=a", "code=1", "-I", "node1")
    told = ("--notify", "mail:ops@example.org")
    fj("schedule", "create", "flip", *failing, "--every", "1s", "--max-jobs", "3", *told)
    wait_for(lambda: states(fj, "flip") == ["failed"] * 3, within=60.0)
    wait_for(lambda: len(box.mails) == 1, within=60.0)

    os.kill(coordinator(state), signal.SIGKILL)
    fj("schedule", "edit", "flip", "code=0", "--max-jobs", "5")
    wait_for(lambda: states(fj, "flip")[3:] == ["succeeded"] * 2, within=60.0)
    wait_for(lambda: len(box.mails) == 2, within=60.0)

    assert box.subjects == [
        "fleetjobs: [default] schedule flip fails: demo.out failed (exit_code)",
        "fleetjobs: [default] schedule flip works again",
    ]


def states(fj: Fj, label: str) -> list[str]:
    """How the schedule's jobs stand, the first one first."""
    return [job["state"] for job in jobs_of(fj, label)]
