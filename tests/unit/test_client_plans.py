"""Plans from Python: composed with Celery's own canvas, checked, aimed and handed in."""

import builtins
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import celery
import msgspec
import pytest
from celery import chain, chord, group

from fleetjobs.client.conditions import Conditions
from fleetjobs.client.fleet import Fleet
from fleetjobs.client.plans import PlanJob, make_plan, submit_plan
from fleetjobs.client.profile import Profile
from fleetjobs.client.rpc import RpcClient, rpcclient
from fleetjobs.documents import decode
from fleetjobs.errors import InvalidInput, InvalidPlan, InvalidSetting, ServerAway
from fleetjobs.plans.documents import OnFailure, Plan, PlanRequest
from fleetjobs.signing import SigningKey, account_key_id, unseal
from fleetjobs.targets import Target, make_target


class Recorder:
    """A transport that keeps what is posted, and is away as often as it is told."""

    def __init__(self, key_path: Path | None = None, *, away: int = 0) -> None:
        self.profile = Profile(
            url="http://x", token="", account="ann", org="ops", key_path=key_path
        )
        self.posted: list[tuple[tuple[str, ...], bytes, str]] = []
        self.away = away

    def post(self, *path: str, body: bytes, content_type: str) -> Any:
        self.posted.append((path, body, content_type))
        if len(self.posted) <= self.away:
            raise ServerAway("away")
        return {
            "id": "j",
            "state": "waiting",
            "agent": "plan",
            "action": "plan",
            "percent_complete": None,
        }

    def get(self, *path: str, query: object = ()) -> Any:  # noqa: ARG002  as the real one
        if path[-1] == "legs":
            legs = [{"key": "make", "id": "leg-make"}, {"key": "start", "id": "leg-start"}]
            return {"items": legs, "next": None}
        return {
            "id": path[1],
            "state": "running",
            "agent": "vm",
            "action": "make",
            "percent_complete": 50.0,
        }


def fleet_of(transport: Recorder) -> Fleet:
    return Fleet(transport)  # type: ignore[arg-type]  it keeps to what is asked of it here


@pytest.fixture
def transport() -> Recorder:
    return Recorder()


@pytest.fixture
def fleet(transport: Recorder) -> Fleet:
    return fleet_of(transport)


@pytest.fixture
def vm(fleet: Fleet) -> RpcClient:
    return rpcclient("vm", nodes=["hv1"], fleet=fleet)


def handed_in(transport: Recorder) -> tuple[dict[str, Any], Plan]:
    """What was posted last, and the plan in it."""
    path, body, kind = transport.posted[-1]
    assert (path, kind) == (("plans",), "application/json")
    document = json.loads(body)
    return document, msgspec.convert(document["plan"], Plan)


def test_actions_are_celerys_own_signatures(vm: RpcClient) -> None:
    made = vm.make_volume.s(name="web1", size="10G")

    assert isinstance(made, celery.Signature)
    assert made.task == "vm.make_volume"
    assert made.kwargs == {"name": "web1", "size": "10G"}
    assert made.options == {"target": {"identities": ["hv1"]}}
    assert vm.make_volume.si(name="x").immutable
    assert vm.action("start").signature(kwargs={"name": "x"}, countdown=5).options["countdown"] == 5


def test_inputs_of_signatures_have_names(vm: RpcClient) -> None:
    with pytest.raises(InvalidInput, match=r"vm.start takes its inputs by name: .s\(name=value\)"):
        vm.start.s("web1")


def test_without_celery_a_signature_says_what_to_install(
    vm: RpcClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *given: Any, **more: Any) -> Any:
        if name == "celery":
            raise ImportError(name)
        return real(name, *given, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InvalidSetting, match=r"pip install 'fleetjobs\[node\]'"):
        vm.start.s()


def test_celery_is_not_loaded_before_the_first_signature() -> None:
    program = (
        "import sys; from fleetjobs import Fleet, rpcclient; import fleetjobs.client.plans;"
        "import fleetjobs.client.rpc; sys.exit('celery' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_canvas_is_handed_in_as_a_plan(fleet: Fleet, vm: RpcClient, transport: Recorder) -> None:
    build = chain(
        vm.make_volume.s(name="web1"),
        vm.start.s(path="${legs.make_volume.data.path}"),
    )

    job = fleet.submit(build, name="build", on_failure="rollback", max_failures=1)

    document, plan = handed_in(transport)
    assert isinstance(job, PlanJob)
    assert [leg.key for leg in plan.legs] == ["make_volume", "start"]
    assert plan.legs[1].needs[0].leg == "make_volume"
    assert all(leg.target == Target(identities=("hv1",)) for leg in plan.legs)
    assert (plan.name, plan.on_failure, plan.max_failures) == ("build", OnFailure.ROLLBACK, "1")
    assert set(document) == {"id", "plan"}


def test_generators_and_nested_canvases_are_taken(
    fleet: Fleet, vm: RpcClient, transport: Recorder
) -> None:
    fleet.submit(chord(group(vm.ping.s() for _ in range(3)), vm.tell.s() | vm.end.s()))

    assert len(handed_in(transport)[1].legs) == 5


def test_a_signature_without_a_target_is_not_meant_for_everyone(fleet: Fleet) -> None:
    bare = celery.Signature("package.remove", kwargs={"name": "x"})

    with pytest.raises(InvalidPlan, match="remove has no target"):
        fleet.submit(bare)

    plan = make_plan(bare, target=make_target(classes=["web"]))
    assert plan.legs[0].target == Target(classes=("web",), agents=("package",))


def test_a_plan_that_does_not_fit_together_is_refused_before_anything_is_sent(
    fleet: Fleet, vm: RpcClient, transport: Recorder
) -> None:
    with pytest.raises(InvalidPlan, match="start refers to make"):
        fleet.submit(group(vm.start.s(path="${legs.make.data.path}"), vm.make.s()))
    with pytest.raises(InvalidPlan, match="no plan, and no canvas"):
        fleet.submit(["what"])
    with pytest.raises(InvalidPlan, match="on_failure"):
        fleet.submit(vm.start.s(), on_failure="panic")
    with pytest.raises(InvalidPlan, match="a set, which JSON has not"):
        fleet.submit(vm.start.s(names={"a"}))
    assert transport.posted == []


def test_a_plan_can_be_its_document(fleet: Fleet, transport: Recorder) -> None:
    legs = [{"key": "a", "agent": "vm", "action": "start"}]

    fleet.submit({"legs": legs, "target": {"classes": ["web"]}}, at="2030-12-01T04:00:00Z")

    document, plan = handed_in(transport)
    assert plan.legs[0].target == Target(classes=("web",), agents=("vm",))
    assert document["not_before"] == "2030-12-01T04:00:00Z"
    assert document["start_before"] == "2030-12-01T05:00:00Z"
    assert make_plan(plan) == plan


def test_who_has_a_key_signs_the_plan(vm: RpcClient, tmp_path: Path) -> None:
    key = SigningKey.generate(account_key_id("ann"))
    key.save(tmp_path / "key.pem")
    transport = Recorder(tmp_path / "key.pem")
    start = datetime(2030, 1, 1, tzinfo=UTC)

    plan = make_plan(vm.start.s())
    submit_plan(fleet_of(transport), plan, Conditions(not_before=start))

    path, body, kind = transport.posted[0]
    _, raw = unseal(body.decode(), {account_key_id("ann"): key.verify_key})
    request = decode(PlanRequest, raw)
    assert (path, kind) == (("plans",), "application/jose")
    assert (request.plan, request.caller, request.not_before) == (plan, "ann", start)


def test_a_plan_is_sent_again_under_the_same_id(vm: RpcClient) -> None:
    transport = Recorder(away=1)

    submit_plan(fleet_of(transport), make_plan(vm.start.s()))

    bodies = [json.loads(body)["id"] for _, body, _ in transport.posted]
    assert len(bodies) == 2
    assert len(set(bodies)) == 1


def test_a_handle_knows_its_legs(fleet: Fleet, vm: RpcClient) -> None:
    job = fleet.submit(vm.start.s())

    assert job.percent is None
    assert [leg["key"] for leg in job.legs()] == ["make", "start"]
    assert job.leg("start").id == "leg-start"
    with pytest.raises(InvalidPlan, match="no leg 'nope'"):
        job.leg("nope")
    assert job.state == "running"
    assert job.percent == 50.0
