"""Plans on a real fleet: written in YAML and run by command, composed with Celery and handed in."""

import json
from pathlib import Path
from typing import Any

import pytest
from celery import chain, chord, group

from fleetjobs import Fleet, rpcclient
from fleetjobs.client.rpc import RpcClient
from fleetjobs.errors import Problem
from tests.integration.conftest import Fj

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

TALK = """\
name: talk
params:
  greeting: {description: what to say first}
legs:
  - who: {action: rpcutil.get_fact, data: {fact: identity}}
  - greet: {action: demo.echo, data: {text: "${params.greeting}, ${legs.who.data.value} $${x}"}}
  - both:
      legs:
        - left: {action: demo.echo, data: {text: "${legs.greet.data.text}"}}
        - right: {action: demo.fail, data: {times: 9}}
  - after: {action: demo.echo, data: {text: never}}
  - sorry:
      action: demo.echo
      data: {text: sorry}
      target: {identities: node1}
      needs: "right:failed"
  - report: {action: demo.echo, data: {text: done}, needs: both, start_if: completed}
"""


@pytest.fixture
def fleet(state: Path) -> Fleet:
    return Fleet.connect(state / "client.toml")


@pytest.fixture
def demo(fleet: Fleet) -> RpcClient:
    return rpcclient("demo", fleet=fleet)


def states(legs: list[Any]) -> dict[str, str]:
    return {leg["key"]: leg["state"] for leg in legs}


@pytest.mark.spec("S2-15", "S4-05")
def test_a_written_plan_is_run_leg_by_leg(fj: Fj, fleet: Fleet, tmp_path: Path) -> None:
    path = tmp_path / "talk.yaml"
    path.write_text(TALK)

    shown = fj("plan", "run", str(path), "--param", "greeting=hello", "--json", code=2)

    plan = json.loads(shown)
    legs = {leg["key"]: leg for leg in plan["legs"]}
    assert states(plan["legs"]) == {
        "who": "succeeded",
        "greet": "succeeded",
        "both": "failed",
        "left": "succeeded",
        "right": "failed",
        "after": "skipped",
        "sorry": "succeeded",
        "report": "succeeded",
    }
    assert legs["after"]["reason"] == "dependency_failed"
    assert [need["leg"] for need in legs["greet"]["needs"]] == ["who"]
    assert {run["node"]: run["data"]["text"] for run in fleet.runs(legs["left"]["id"])} == {
        f"node{n}": f"hello, node{n} ${{x}}" for n in (1, 2, 3)
    }
    tree = fj("job", "graph", plan["id"])
    assert "├─ ✗ both  group  failed" in tree
    assert "│  └─ ✗ right  demo.fail  failed (runs_failed)  0 of 3, 3 failed" in tree
    assert "- after  demo.echo  skipped (dependency_failed)" in tree


def test_a_plan_is_tried_out_before_it_is_run(fj: Fj, fleet: Fleet, tmp_path: Path) -> None:
    path = tmp_path / "talk.yaml"
    path.write_text(TALK)
    before = len(list(fleet.jobs()))

    shown = fj("plan", "run", str(path), "-p", "greeting=x", "--dry-run", "--json")
    wrong = fj("plan", "check", str(path), "-p", "greeting=x", "-I", "node9", code=1)

    legs = {leg["key"]: leg for leg in json.loads(shown)["legs"]}
    assert legs["who"]["nodes"] == ["node1", "node2", "node3"]
    assert legs["sorry"]["nodes"] == ["node1"]
    assert legs["greet"]["undo"] == "nothing to take back"
    assert "leg who: no such node: node9" in wrong
    assert len(list(fleet.jobs())) == before


def test_a_canvas_of_celery_is_carried_out(fleet: Fleet, demo: RpcClient) -> None:
    who = rpcclient("rpcutil", fleet=fleet).get_fact.s(fact="identity")
    one = rpcclient("demo", nodes=["node1"], fleet=fleet)
    header = group(demo.echo.s(text=f"{n} ${{legs.get_fact.data.value}}") for n in range(5))
    body = one.echo.s(text="${legs.echo_5.data.text} ${legs.echo_5.node}").set(key="body")

    plan = fleet.submit(chain(who, header, body), name="canvas")

    assert plan.wait(60)
    assert (plan.state, plan.percent, len(plan.legs())) == ("succeeded", 100.0, 8)
    [run] = plan.leg("body").runs()
    assert run["data"] == {"text": "4 node1 node1"}


def test_an_error_callback_is_called_when_its_task_has_failed(
    fleet: Fleet, demo: RpcClient
) -> None:
    broken = demo.fail.s(times=9)
    broken.link_error(demo.echo.s(text="sorry").set(key="sorry"))
    fine = demo.echo.s(text="fine")
    fine.link_error(demo.echo.s(text="nobody").set(key="unneeded"))
    fine.link(demo.echo.s(text="more").set(key="more"))

    plan = fleet.submit(chord([broken, fine], demo.echo.s(text="never").set(key="body")))

    assert plan.wait(60)
    assert states(plan.legs()) == {
        "header": "failed",
        "fail": "failed",
        "sorry": "succeeded",
        "echo": "succeeded",
        "unneeded": "skipped",
        "more": "succeeded",
        "body": "skipped",
    }


def test_what_the_fleet_cannot_do_is_refused_with_the_leg(fleet: Fleet, demo: RpcClient) -> None:
    for wrong, said in (
        (demo.echo.s(txt="x").set(key="first"), "leg first: demo.echo has no input 'txt'"),
        (demo.nothing.s(), "leg nothing: .*no action|no action 'nothing'"),
        (
            chain(demo.echo.s(text="x"), demo.echo.s(text="${legs.echo.data.txt}")),
            "echo_2: .*demo.echo answers no 'txt'",
        ),
    ):
        with pytest.raises(Problem, match=said):
            fleet.submit(wrong)
