"""Agents of Choria and MCollective on a real fleet: from the command line to the reply and back."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fleetjobs.client import rpcclient
from tests.fleets import run_fj, up
from tests.processes import wait_for
from tests.wild import ddl, put
from tests.wild_programs import put_all, put_chatter, put_lab

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

Fj = Callable[..., Any]


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A fleet of one node that had these agents before it started."""
    place = tmp_path_factory.mktemp("fleet")
    put_all(place / "agents")
    put_lab(place)
    for path in sorted((place / "mcollective" / "agent").iterdir()):
        path.rename(place / "agents" / path.name)
    with up(place, "--nodes", "1"):
        yield place


@pytest.fixture
def fj(state: Path) -> Fj:
    """Run a command line on it; what it printed as JSON. Fails unless it ends with `code`."""

    def call(*args: str, code: int = 0) -> Any:
        return json.loads(run_fj(state, *args, "--json", code=code).stdout)

    return call


def offered(fj: Fj) -> dict[str, tuple[str, str]]:
    """The agents of the node, with provider and version."""
    return {
        each["name"]: (each["provider"], each["version"])
        for each in fj("node", "agents", "node1")["items"]
    }


def refused(fj: Fj) -> dict[str, str]:
    return {each["name"]: each["reason"] for each in fj("node", "agents", "node1")["refused"]}


@pytest.fixture
def ready(fj: Fj) -> None:
    """All of them have been asked, however busy the machine is."""
    wanted = {"chatter", "rubychat", "shellchat", "lab"}
    wait_for(lambda: wanted <= set(offered(fj)), within=120, every=1)


@pytest.mark.spec("EA-18", "S0-07", "EA-10")
@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize(
    ("agent", "provider", "data", "stdout"),
    [
        ("chatter", "external", {"result": "hi", "asked_by": "fleetjobs=admin"}, "said it"),
        ("rubychat", "external", {"result": "ih", "role": "web"}, "answering"),
        ("shellchat", "external", {"result": "hi!"}, "asked to say hi"),
        ("lab", "implemented_by", {"msg": "hi?"}, "asked to say hi"),
    ],
)
def test_an_agent_of_the_wild_is_called_from_the_command_line(
    fj: Fj, state: Path, agent: str, provider: str, data: dict[str, Any], stdout: str
) -> None:
    found, _version = offered(fj)[agent]  # another test has it change
    assert found == provider

    job = fj("submit", agent, "say", "msg=hi")["id"]
    fj("job", "wait", job)

    (run,) = fj("job", "show", job)["runs"]
    assert (run["state"], run["statuscode"], run["statusmsg"]) == ("succeeded", 0, "OK")
    assert run["data"] == {"tone": "calm", **data}
    assert stdout in run_fj(state, "job", "logs", job).stdout


@pytest.mark.spec("EA-15", "EA-18")
@pytest.mark.usefixtures("ready")
def test_a_script_that_fails_is_told_of_with_its_own_status(state: Path) -> None:
    (reply,) = rpcclient("lab", config=state / "client.toml").say(msg="fail")

    assert (reply.statuscode, reply.statusmsg) == (17, "Failed to run say.sh: as told\n")


@pytest.mark.spec("EA-08")
@pytest.mark.usefixtures("ready")
def test_what_the_interface_does_not_let_through_is_refused_before_the_node(
    state: Path,
) -> None:
    for words in (["msg=HI"], ["other=1"]):
        done = run_fj(state, "rpc", "shellchat", "say", *words, code=1)
        assert "msg" in done.stderr


@pytest.mark.spec("EA-02", "EA-03")
@pytest.mark.usefixtures("ready")
def test_agents_come_change_and_go_without_a_restart(fj: Fj, state: Path) -> None:
    agents = state / "agents"
    put_chatter(agents, version="2.0.0")
    put(agents / "odd.json", json.dumps(ddl("odd")))
    put(agents / "odd", "#!/bin/sh\nexit 3\n", mode=0o755)
    put(agents / "late.json", json.dumps(ddl("late")))
    put(agents / "late", '#!/bin/sh\necho \'{"activate": true}\' >"$2"\n', mode=0o755)

    wait_for(lambda: offered(fj).get("chatter") == ("external", "2.0.0"), within=90, every=1)
    wait_for(lambda: "late" in offered(fj), within=60, every=1)
    wait_for(lambda: "ended with status 3" in refused(fj).get("odd", ""), within=60, every=1)

    (agents / "late.json").unlink()
    wait_for(lambda: "late" not in offered(fj), within=60, every=1)
