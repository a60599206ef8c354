"""The public library for external agents, with the settings files of the wild."""

from pathlib import Path

import pytest

from fleetjobs.node.activation import Activator
from fleetjobs.registry import Registry
from fleetjobs.states import Reason, State
from tests.wild import put
from tests.wild_programs import put_chatter
from tests.workbench import Desk


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "libdir" / "mcollective" / "agent"


@pytest.mark.spec("EA-05", "EA-18")
@pytest.mark.parametrize("name", ["chatter", "chatter.cfg"])
def test_an_agent_of_the_library_reads_its_settings_by_either_name(
    desk: Desk, place: Path, name: str
) -> None:
    """The path is named without .cfg; the library falls back to the file that Puppet writes."""
    put_chatter(place)
    put(desk.root / "plugin.d" / name, "# settings\nprefix = hm, \n")

    reply = desk.do(agent="chatter", action="say", msg="hi")

    assert (reply.state, reply.data["result"]) == (State.SUCCEEDED, "hm, hi")
    assert reply.data["asked_by"] == "fleetjobs=ann"
    assert reply.stdout is not None
    assert b"said it" in reply.stdout.content
    assert reply.stderr is not None
    assert b"saying it to fleetjobs=ann" in reply.stderr.content


@pytest.mark.spec("EA-05")
def test_a_program_that_reads_the_path_as_it_is_finds_no_other(desk: Desk, place: Path) -> None:
    """As those on Go's library do."""
    program = '#!/bin/sh\nread -r x <"$CHORIA_EXTERNAL_CONFIG" || exit 9\n'
    put_chatter(place)
    put(place / "chatter", program, mode=0o755)
    put(desk.root / "plugin.d" / "chatter.cfg", "x\n")

    assert desk.do(agent="chatter", action="say").exit_code == 9


@pytest.mark.spec("EA-18")
def test_what_an_agent_of_the_library_raises_is_its_reply(desk: Desk, place: Path) -> None:
    put_chatter(place)

    reply = desk.do(agent="chatter", action="say", msg="fail")

    assert (reply.state, reply.reason, reply.statuscode) == (State.FAILED, Reason.ABORTED, 1)
    assert "as told" in reply.statusmsg
    assert reply.data == {"result": "", "tone": "calm"}


@pytest.mark.spec("EA-03", "EA-18")
def test_an_agent_of_the_library_says_whether_it_wants_to_be_here(
    tmp_path: Path, place: Path
) -> None:
    put_chatter(place)
    registry = Registry([], [tmp_path / "libdir"], asks=True)
    activator = Activator(
        registry=registry, plugin_d=tmp_path / "plugin.d", on_change=lambda: None, limit_s=20
    )
    (chatter,) = registry.asked

    assert activator.ask(chatter) == ""
    (place / "chatter.off").touch()
    assert activator.ask(chatter) == "it does not want to be on this machine"
