"""Where agents are found, ours and others'."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fleetjobs.errors import InvalidInterface
from fleetjobs.layouts import RESERVED, goarch, goos
from fleetjobs.registry import UNASKED, Registry
from tests.wild import AGENT, RUBY, ddl, put, put_external, put_script
from tests.workbench import write_agent

PROGRAM = "#!/bin/sh\n"
PLATFORM = f"wild-{goos()}_{goarch()}"


@pytest.fixture
def libdir(tmp_path: Path) -> Path:
    return tmp_path / "libdir"


@pytest.fixture
def place(libdir: Path) -> Path:
    """Where a libdir has its agents."""
    return libdir / "mcollective" / "agent"


def found(libdir: Path) -> Registry:
    return Registry([], [libdir])


@pytest.mark.spec("EA-01")
@pytest.mark.parametrize(
    ("document", "program"),
    [
        ("wild.json", "wild"),
        ("wild.json", f"wild/{PLATFORM}"),
        ("wild/wild.json", "wild/wild"),
        ("wild/wild.json", f"wild/wild/{PLATFORM}"),
    ],
)
def test_both_layouts_are_found_with_a_program_for_each_platform(
    libdir: Path, place: Path, document: str, program: str
) -> None:
    put(place / document, json.dumps(ddl("wild")))
    put(place / program, PROGRAM, mode=0o755)

    registry = found(libdir)

    assert not registry.refused
    assert registry.agent("wild").program == place / program
    assert registry.agent("wild").provider == "external"


@pytest.mark.spec("EA-01")
def test_both_layouts_are_found_among_our_own_agents_too(tmp_path: Path) -> None:
    put_external(tmp_path, "flat", PROGRAM)
    put_external(tmp_path / "folder", "folder", PROGRAM)
    write_agent(tmp_path, "snake", module="x")

    registry = Registry([tmp_path])

    assert set(registry.agents) == {"flat", "folder", "snake"}
    assert not registry.refused


@pytest.mark.spec("EA-01")
def test_what_belongs_to_agents_is_no_agent(libdir: Path, place: Path) -> None:
    put_external(place, "wild", PROGRAM)
    put_external(place / "tmp", "tmp", PROGRAM)
    put(place / "three" / "four" / "four.json", json.dumps(ddl("four")))
    put(place / "data" / "words.txt", "")

    registry = found(libdir)

    assert set(registry.agents) == {"wild"}
    assert not registry.refused


@pytest.mark.spec("EA-01")
@pytest.mark.parametrize("name", sorted(RESERVED))
def test_names_that_choria_keeps_are_refused(libdir: Path, place: Path, name: str) -> None:
    put_external(place, name, PROGRAM)

    assert "keeps for itself" in found(libdir).refused[name]


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (ddl("other"), "names it 'other'"),
        (ddl("wild", provider="golang"), "'golang' is not known"),
        (ddl("wild", provider="fleetjobs"), "has to lie in a directory"),
        (ddl("wild", version="one"), "version"),
        ([], "JSON object"),
    ],
)
def test_what_is_no_external_agent_is_refused(
    libdir: Path, place: Path, document: object, why: str
) -> None:
    put(place / "wild.json", json.dumps(document))
    put(place / "wild", PROGRAM, mode=0o755)

    assert why in found(libdir).refused["wild"]


def test_without_a_program_that_may_be_executed_there_is_no_agent(
    libdir: Path, place: Path
) -> None:
    put_external(place, "wild", PROGRAM)
    (place / "wild").chmod(0o644)

    assert f"no executable wild or wild/{PLATFORM}" in found(libdir).refused["wild"]


@pytest.mark.spec("EA-14")
def test_a_ruby_agent_offers_what_scripts_do(libdir: Path, place: Path) -> None:
    script = put_script(libdir, "lab", PROGRAM)
    more = 'action "ruby" do\nend\n'
    put(place / "lab.ddl", RUBY.format(name="lab") + more)

    agent = found(libdir).agent("lab")

    assert agent.provider == "implemented_by"
    assert set(agent.interface.actions) == {"say"}
    assert [action["action"] for action in agent.interface.document["actions"]] == ["say"]
    assert agent.script("say") == script


def test_a_script_may_lie_in_three_places(libdir: Path, place: Path) -> None:
    first = put_script(libdir, "lab", PROGRAM)
    second = put(libdir / "agent" / "lab" / "say.sh", PROGRAM, mode=0o755)
    agent = found(libdir).agent("lab")

    assert agent.script("say") == first
    first.unlink()
    assert agent.script("say") == second
    second.chmod(0o644)
    with pytest.raises(InvalidInterface, match=r"no executable 'say.sh'"):
        agent.script("say")

    put(place / "lab.rb", AGENT.format(title="Lab", script=str(first)))
    put(first, PROGRAM, mode=0o755)
    assert found(libdir).agent("lab").script("say") == first


def test_a_ruby_agent_without_scripts_is_refused(libdir: Path, place: Path) -> None:
    put(place / "lab.ddl", RUBY.format(name="lab"))
    put(place / "lab.rb", "module MCollective\nend\n")

    assert "Ruby code cannot be run" in found(libdir).refused["lab"]


@pytest.mark.spec("EA-14")
def test_a_json_twin_wins_and_may_name_the_scripts(libdir: Path, place: Path) -> None:
    put_script(libdir, "lab", PROGRAM)
    twin = ddl("lab", version="9.9", provider="implemented_by")
    twin["fleetjobs"] = {"actions": {"say": {"implemented_by": "other.sh"}}}
    put(place / "lab.json", json.dumps(twin))

    agent = found(libdir).agent("lab")

    assert (agent.interface.version, agent.scripts) == ("9.9", {"say": "other.sh"})


@pytest.mark.parametrize("provider", ["ruby", "", None])
def test_the_twin_that_choria_makes_of_a_ruby_agent_is_one(
    libdir: Path, place: Path, provider: str | None
) -> None:
    put_script(libdir, "lab", PROGRAM)
    twin = ddl("lab", provider=provider)
    if provider is None:
        del twin["metadata"]["provider"]
    put(place / "lab.json", json.dumps(twin))

    assert found(libdir).agent("lab").scripts == {"say": "say.sh"}


def test_a_ruby_interface_that_computes_is_refused_by_its_line(libdir: Path, place: Path) -> None:
    put_script(libdir, "lab", PROGRAM)
    put(place / "lab.ddl", '["start"].each do |name|\nend\n')

    assert "lab.ddl, line 1" in found(libdir).refused["lab"]


class Clock:
    """A time that is set by hand."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.mark.spec("EA-02")
def test_an_interface_is_read_when_it_rests(libdir: Path, place: Path) -> None:
    clock = Clock()
    registry = Registry([], [libdir], clock=clock)
    put_external(place, "wild", PROGRAM)
    put(place / "wild.json", json.dumps(ddl("wild")), age_s=0)

    registry.refresh()
    assert (registry.agents, registry.refused) == ({}, {})

    clock.now += timedelta(seconds=6)
    assert registry.refresh()
    assert registry.agent("wild").interface.version == "1.2.3"


@pytest.mark.spec("EA-02")
def test_what_is_being_written_leaves_the_agent_as_it_was(libdir: Path, place: Path) -> None:
    clock = Clock()
    put_external(place, "wild", PROGRAM)
    registry = Registry([], [libdir], clock=clock)
    put(place / "wild.json", "{", age_s=0)

    registry.refresh()
    assert registry.agent("wild").interface.version == "1.2.3"

    put(place / "wild.json", json.dumps(ddl("wild", version="2")), age_s=0)
    clock.now += timedelta(seconds=6)
    registry.refresh()
    assert registry.agent("wild").interface.version == "2"


@pytest.mark.spec("EA-02")
def test_a_removed_agent_is_gone(libdir: Path, place: Path) -> None:
    put_external(place, "wild", PROGRAM)
    registry = found(libdir)
    before = registry.revision

    (place / "wild.json").unlink()

    assert registry.refresh()
    assert not registry.agents
    assert registry.revision > before


def test_an_interface_from_the_future_is_read(libdir: Path, place: Path) -> None:
    put_external(place, "wild", PROGRAM)
    put(place / "wild.json", json.dumps(ddl("wild")), age_s=-3600)

    assert set(Registry([], [libdir], clock=Clock()).agents) == {"wild"}


@pytest.mark.spec("EA-03")
def test_who_has_to_be_asked_counts_only_then(libdir: Path, place: Path) -> None:
    put_external(place, "wild", PROGRAM)
    put_script(libdir, "lab", PROGRAM)
    registry = Registry([], [libdir], asks=True)
    (wild,) = registry.asked
    assert set(registry.agents) == {"lab"}
    assert registry.refused == {"wild": UNASKED}

    registry.settle(wild, "no")
    assert registry.refused == {"wild": "no"}

    registry.settle(wild, "")
    assert registry.agent("wild") is wild
    assert not registry.refused


@pytest.mark.spec("EA-03")
def test_a_changed_agent_stays_as_it_was_until_it_was_asked(libdir: Path, place: Path) -> None:
    put_external(place, "wild", PROGRAM)
    registry = Registry([], [libdir], asks=True)
    registry.settle(registry.asked[0], "")
    put(place / "wild.json", json.dumps(ddl("wild", version="2")))

    registry.refresh()
    assert registry.agent("wild").interface.version == "1.2.3"

    registry.settle(registry.asked[0], "")
    assert registry.agent("wild").interface.version == "2"
