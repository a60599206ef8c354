"""Limits and pauses on a real fleet, from the command line."""

import json
from datetime import datetime
from typing import Any

import pytest

from tests.integration.conftest import Fj

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def runs_of(fj: Fj, job: str) -> list[dict[str, Any]]:
    """The runs of a job that has ended."""
    fj("job", "wait", job)
    runs: list[dict[str, Any]] = json.loads(fj("job", "show", job, "--json"))["runs"]
    return runs


def most_at_once(runs: list[dict[str, Any]]) -> int:
    """How many of them were at work at the same time, by what their nodes said."""
    moments = [(datetime.fromisoformat(run["started_at"]), 1) for run in runs]
    moments += [(datetime.fromisoformat(run["ended_at"]), -1) for run in runs]
    counts, at_work = [], 0
    for _, change in sorted(moments):
        at_work += change
        counts.append(at_work)
    return max(counts)


@pytest.mark.spec("S2-13")
def test_of_six_no_more_than_four_are_at_work_at_once(fj: Fj) -> None:
    """Two jobs on three nodes each; and when it is one, one after another."""
    fj("limit", "set", "demo.sleep", "4")
    jobs = [fj("submit", "demo", "sleep", "seconds=2") for _ in range(2)]
    runs = [run for job in jobs for run in runs_of(fj, job)]

    assert [run["state"] for run in runs] == ["succeeded"] * 6
    assert 2 <= most_at_once(runs) <= 4
    fj("limit", "set", "demo.sleep", "1")
    job = fj("submit", "demo", "sleep", "seconds=0.3")
    assert most_at_once(runs_of(fj, job)) == 1
    fj("limit", "delete", "demo.sleep")


def test_a_drained_node_has_ended_what_it_had_and_begins_nothing(fj: Fj) -> None:
    before = fj("submit", "demo", "sleep", "seconds=2", "-I", "node1")

    drained = json.loads(fj("drain", "--node", "node1", "--timeout", "60s", "--json"))
    after = fj("submit", "demo", "sleep", "seconds=0.1", "-I", "node1")

    assert (drained["drained"], drained["at_work"]) == (True, 0)
    assert json.loads(fj("job", "show", before, "--json"))["state"] in {
        "succeeded",
        "waiting",
    }
    fj("drain", "--node", "node1", "--timeout", "1s")
    fj("resume", "--node", "node1")
    assert [run["state"] for run in runs_of(fj, after)] == ["succeeded"]
