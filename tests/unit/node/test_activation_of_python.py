"""Python agents that say whether they can be on this machine."""

from pathlib import Path

import pytest

from fleetjobs.node.activation import Activator
from fleetjobs.programs.checking import check_agent
from fleetjobs.registry import Registry
from tests.workbench import write_agent

MODULE = """
import sys, time
from fleetjobs.agent import Agent, action
{head}
class Snake(Agent):
    @classmethod
    def activate(cls):
        {activate}

    @action
    def do(self, text):
        pass
"""
FAIL = "from fleetjobs.agent import Fail; raise Fail('there is no docker here')"


def module(activate: str, head: str = "") -> str:
    return MODULE.format(activate=activate, head=head)


def asked(tmp_path: Path, source: str, limit_s: float = 60.0) -> Registry:
    """A registry whose agents have been asked."""
    write_agent(tmp_path, "snake", module=source)
    registry = Registry([tmp_path], asks=True)
    Activator(registry=registry, plugin_d=tmp_path, on_change=lambda: None, limit_s=limit_s).step()
    return registry


@pytest.mark.parametrize("activate", ["return True", "return None", "print('on its log')"])
def test_an_agent_that_wants_to_be_here_is(tmp_path: Path, activate: str) -> None:
    registry = asked(tmp_path, module(activate))

    assert "snake" in registry.agents
    assert not registry.refused


@pytest.mark.parametrize(
    ("activate", "said"),
    [
        ("return False", "does not want to be on this machine"),
        (FAIL, "does not want to be on this machine: there is no docker here"),
        ("raise ValueError('boom')", "boom"),
        ("sys.exit(3)", "ended with status 3"),
    ],
)
def test_an_agent_that_does_not_is_refused_with_its_reason(
    tmp_path: Path, activate: str, said: str
) -> None:
    registry = asked(tmp_path, module(activate))

    assert said in registry.refused["snake"]
    assert "snake" not in registry.agents


def test_an_agent_that_does_not_answer_in_time_is_refused(tmp_path: Path) -> None:
    registry = asked(tmp_path, module("time.sleep(600)"), limit_s=0.5)

    assert "longer than 0.5 s" in registry.refused["snake"]


def test_an_agent_that_cannot_be_loaded_is_there_and_says_so_when_it_is_called(
    tmp_path: Path,
) -> None:
    registry = asked(tmp_path, module("return True", head="import no_such_thing"))

    assert "snake" in registry.agents


def test_an_agent_without_a_word_about_it_costs_no_interpreter(tmp_path: Path) -> None:
    write_agent(tmp_path, "snake", module="raise SystemExit")

    registry = Registry([tmp_path], asks=True)

    assert not registry.asked
    assert "snake" in registry.agents


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # of os.fork, from 3.12 on
def test_a_check_tells_that_it_would_not_be_here(tmp_path: Path) -> None:
    """That is no fault of the agent: it may be meant for other machines."""
    write_agent(tmp_path, "snake", module=module(FAIL))

    finding = check_agent(tmp_path / "snake")

    assert "no docker" in finding.inactive
    assert finding.is_good
