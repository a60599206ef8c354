"""The examples to begin an agent with, one in each language, on a node like any other agent."""

import json
from pathlib import Path

import pytest

from fleetjobs.messages import Verb
from fleetjobs.node.reading import progress
from fleetjobs.programs.beginnings import LANGUAGES as BEGINNINGS
from fleetjobs.programs.beginnings import begin_agent
from fleetjobs.registry import Registry
from fleetjobs.states import Reason, State
from tests.agent_programs import LANGUAGES, ROOT, require_language
from tests.workbench import Desk


def test_there_is_an_example_in_every_language() -> None:
    assert set(BEGINNINGS) == set(LANGUAGES)


@pytest.fixture(params=LANGUAGES)
def begun(request: pytest.FixtureRequest, desk: Desk) -> str:
    """The name of a new agent on the desk's node."""
    language: str = request.param
    require_language(language)
    _, left = begin_agent("fresh", language, desk.agents)
    assert not left
    return "fresh"


@pytest.mark.spec("S0-06")
@pytest.mark.spec("S0-07")
def test_an_agent_in_any_language_acts(desk: Desk, begun: str) -> None:
    reply = desk.do(agent=begun, action="greet", name="Ada", times=2)

    assert reply.state is State.SUCCEEDED
    assert reply.data == {"text": "Hello Ada! Hello Ada!"}


@pytest.mark.spec("S4-27")
def test_what_an_agent_finds_wrong_is_the_callers_mistake(desk: Desk, begun: str) -> None:
    reply = desk.do(agent=begun, action="greet", name="Ada", times=9)

    assert (reply.state, reply.reason, reply.statuscode) == (State.FAILED, Reason.USER_ERROR, 4)
    assert reply.statusmsg == "times is 1 to 5, not 9"


def test_an_agent_that_is_stopped_tells_how_far_it_came(desk: Desk, begun: str) -> None:
    """SIGTERM reaches it; what it replies in its grace is kept, and so is what it wrote."""
    run = desk.accept(agent=begun, action="count", to=10_000)
    desk.drive(lambda: progress(run))

    desk.order(Verb.STOP, run.key)
    reply = desk.reply(run)

    assert reply.state is State.CANCELLED
    assert reply.data["counted"] >= 1
    assert reply.stdout is not None
    assert reply.stdout.content.startswith(b"1\n")


def test_all_examples_share_one_interface() -> None:
    def told(language: str) -> str:
        path = ROOT / f"docs/examples/hello_{language}/hello_{language}.json"
        document = json.loads(path.read_text())
        del document["metadata"]["name"], document["metadata"]["description"]
        return json.dumps(document)

    assert len({told(language) for language in LANGUAGES}) == 1


def test_a_beginning_is_taken_by_a_registry(tmp_path: Path) -> None:
    begin_agent("fresh", "shell", tmp_path)

    registry = Registry([tmp_path])

    assert set(registry.agents) == {"fresh"}
    assert not registry.refused
