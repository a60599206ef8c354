"""Followers on a real fleet: agents in Python and in shell whose replies ask for jobs."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import chain

from fleetjobs import Fleet, rpcclient
from fleetjobs.client.replies import Document
from tests.fleets import up
from tests.integration.conftest import Fj
from tests.processes import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PYTHON = """\
from fleetjobs.agent import Agent, action, main


class RelayPython(Agent):
    @action
    def go(self, step: int, last: int, bad: int) -> None:
        self.reply["step"] = step
        if step < last:
            self.next("go", {"step": step + 1, "last": last, "bad": bad})
        if step == bad:
            self.fail("it broke")


if __name__ == "__main__":
    main(RelayPython)
"""
SHELL = """\
#!/bin/sh
set -eu
input() {
    sed -n 's/.*"'"$1"'": *\\([0-9]*\\).*/\\1/p' "$FLEETJOBS_REQUEST"
}
step=$(input step) last=$(input last) bad=$(input bad)
next='[]'
if [ "$step" -lt "$last" ]; then
    next="[{\\"action\\": \\"go\\", \\"data\\": {\\"step\\": $((step + 1)), \\"last\\": $last, \\"bad\\": $bad}}]"
fi
status=0
[ "$step" -eq "$bad" ] && status=1
echo "{\\"statuscode\\": $status, \\"data\\": {\\"step\\": $step}, \\"next\\": $next}" >"$FLEETJOBS_REPLY.new"
mv "$FLEETJOBS_REPLY.new" "$FLEETJOBS_REPLY"
"""  # noqa: E501  a line of a shell script


def interface(name: str) -> str:
    """Of an agent with one action."""
    number = {"type": "integer", "prompt": "N", "description": "a number", "optional": False}
    go = {
        "action": "go",
        "description": "One step, and ask for the next",
        "input": dict.fromkeys(("step", "last", "bad"), number),
        "output": {"step": {"description": "which it was", "display_as": "Step"}},
    }
    metadata = {
        "name": name,
        "description": "for tests",
        "author": "fleetjobs",
        "license": "Apache-2.0",
        "version": "1.0.0",
        "url": "https://example.org",
        "timeout": 30,
        "provider": "fleetjobs",
    }
    return json.dumps({"metadata": metadata, "actions": [go]})


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A fleet of two nodes with both agents."""
    place = tmp_path_factory.mktemp("fleet")
    for name, program, text in (
        ("relay_python", "relay_python.py", PYTHON),
        ("relay_shell", "relay_shell", SHELL),
    ):
        directory = place / "agents" / name
        directory.mkdir(parents=True)
        (directory / f"{name}.json").write_text(interface(name))
        (directory / program).write_text(text)
        (directory / program).chmod(0o755)
    with up(place, "--nodes", "2"):
        yield place


@pytest.fixture
def fleet(state: Path) -> Fleet:
    return Fleet.connect(state / "client.toml")


def relay(fleet: Fleet, agent: str, *, bad: int) -> Document:
    """A job whose action asks for the next step, four in all; one of them breaks."""
    client = rpcclient(agent, nodes=["node1"], fleet=fleet)
    job = client.submit("go", step=1, last=4, bad=bad)
    assert job.wait(60)
    return fleet.job(job.id)


def followers(fleet: Fleet, job: Document) -> list[Document]:
    return list(fleet.legs(job["id"])) if fleet.job(job["id"])["children"] else []


def settled(fleet: Fleet, job: Document, count: int) -> list[Document]:
    """What follows the job, once there are so many and all have ended."""

    def ended() -> bool:
        found = followers(fleet, job)
        return len(found) >= count and all(leg["ended_at"] for leg in found)

    wait_for(ended, within=60)
    return followers(fleet, job)


@pytest.mark.spec("S0-08")
@pytest.mark.parametrize("agent", ["relay_python", "relay_shell"])
def test_each_step_asks_for_the_next(fleet: Fleet, fj: Fj, agent: str) -> None:
    job = relay(fleet, agent, bad=0)

    legs = settled(fleet, job, 3)

    assert [leg["state"] for leg in legs] == ["succeeded"] * 3
    assert [leg["origin"] for leg in legs] == [job["id"], legs[0]["id"], legs[1]["id"]]
    first = fleet.job(legs[0]["id"])
    assert (first["parent"], first["caller"]) == (job["id"], job["caller"])
    assert fleet.job(job["id"])["children"] == [first["id"]]
    assert [run["data"]["step"] for run in fleet.runs(legs[2]["id"])] == [4]
    assert "1 job more" in fj("job", "show", job["id"])
    assert f"{agent}.go" in fj("job", "graph", job["id"])
    assert fj("job", "legs", job["id"], "-q").splitlines() == [leg["id"] for leg in legs]
    assert legs[0]["id"] not in fj("job", "list", "-q").splitlines()


@pytest.mark.spec("S0-08")
@pytest.mark.parametrize("agent", ["relay_python", "relay_shell"])
def test_a_step_that_fails_is_the_last(fleet: Fleet, agent: str) -> None:
    """The third of four asks for the fourth and fails: there is no fourth."""
    job = relay(fleet, agent, bad=3)

    legs = settled(fleet, job, 2)

    assert [leg["state"] for leg in legs] == ["succeeded", "failed"]
    assert fleet.job(legs[1]["id"])["children"] == []


@pytest.mark.spec("S0-08")
def test_the_leg_after_a_failed_one_never_reaches_a_node(fleet: Fleet, state: Path) -> None:
    relay_shell = rpcclient("relay_shell", nodes=["node1", "node2"], fleet=fleet)
    steps = [relay_shell.go.s(step=n, last=0, bad=3).set(key=f"step{n}") for n in (1, 2, 3, 4)]

    plan = fleet.submit(chain(*steps))

    assert plan.wait(60)
    legs = plan.legs()
    states = [leg["state"] for leg in legs]
    assert states == ["succeeded", "succeeded", "failed", "skipped"]
    there = [str(path) for path in state.rglob("spool/runs/*")]
    assert all(any(leg["id"] in path for path in there) for leg in legs[:3])
    assert not any(legs[3]["id"] in path for path in there)
    kinds = {one["kind"] for one in fleet.events(legs[3]["id"])}
    assert kinds == {"job.accepted", "run.skipped", "job.skipped"}
