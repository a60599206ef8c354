"""Agents that come with Python packages."""

import subprocess
import sys
from pathlib import Path

import pytest

from fleetjobs.installed import Installed
from fleetjobs.registry import Registry
from fleetjobs.states import State
from tests.workbench import Desk, write_agent

MODULE = """
from fleetjobs.agent import Agent, action
from acme_agents.words import GREETING
class Greet(Agent):
    @action
    def do(self, text):
        self.reply["text"] = GREETING
"""


def install(site: Path, name: str, entry_points: str) -> None:
    """What an installer leaves behind."""
    information = site / f"{name}-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(entry_points)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for packages, where Python looks for them, with one that brings an agent."""
    site = tmp_path / "site"
    install(site, "acme_agents", "[fleetjobs.agents]\nacme = acme_agents\n")
    write_agent(site / "acme_agents", "greet", module=MODULE)
    (site / "acme_agents" / "__init__.py").write_text("raise AssertionError('nobody runs this')")
    (site / "acme_agents" / "words.py").write_text("GREETING = 'hello'")
    monkeypatch.syspath_prepend(str(site))
    return site


@pytest.mark.spec("S2-02")
def test_an_installed_package_brings_agents(site: Path) -> None:
    registry = Registry([], installed=Installed())

    assert registry.agent("greet").directory == site / "acme_agents" / "greet"


@pytest.mark.spec("S2-02")
def test_what_is_installed_later_is_seen_without_a_restart(site: Path) -> None:
    registry = Registry([], installed=Installed())
    write_agent(site / "more" / "agents", "snake", module="x")
    install(site, "more", "[console_scripts]\nx = y:z\n[fleetjobs.agents]\nmore = more.agents\n")

    assert registry.refresh()

    assert set(registry.agents) == {"greet", "snake"}


def test_ours_and_the_owners_win_over_those_of_packages(site: Path, tmp_path: Path) -> None:
    write_agent(tmp_path / "owners", "greet", module="x")

    registry = Registry([tmp_path / "owners"], installed=Installed())

    assert registry.agent("greet").directory == tmp_path / "owners" / "greet"
    assert site.exists()


@pytest.mark.parametrize(
    "entry_points",
    [
        "[fleetjobs.agents]\nacme = no_such_package\n",
        "[fleetjobs.agents]\nacme\n",
        "[fleetjobs.agents]\n[fleetjobs.agents]\n",
        "[fleetjobs.agents]\nacme = ..\n",
        "[fleetjobs.agents]\nacme = json.tool\n",
    ],
)
def test_entry_points_that_lead_nowhere_harm_nobody(site: Path, entry_points: str) -> None:
    install(site, "broken", entry_points)

    assert Installed()() == (site / "acme_agents",)


@pytest.mark.spec("S2-02")
def test_such_an_agent_acts_in_a_run(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (site / "acme_agents" / "__init__.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(site))  # where a virtual environment would be
    desk = Desk(tmp_path)

    reply = desk.do(agent="greet")
    desk.close()

    assert (reply.state, reply.data["text"]) == (State.SUCCEEDED, "hello")


def test_looking_for_them_reads_no_mail() -> None:
    """A runner host is small; importlib.metadata would bring the package `email` into it."""
    code = "import sys; from fleetjobs.installed import Installed; Installed()(); print('email' in sys.modules)"  # noqa: E501  one word of a command line

    shown = subprocess.check_output([sys.executable, "-c", code], text=True)

    assert shown == "False\n"
