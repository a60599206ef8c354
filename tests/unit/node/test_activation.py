"""Asking external agents whether they want to be here."""

import json
import os
from pathlib import Path

import pytest

from fleetjobs.node.activation import Activator
from fleetjobs.registry import Registry
from tests.wild import put, put_external
from tests.workbench import wait_for

YES = 'echo \'{"activate": true}\' > "$CHORIA_EXTERNAL_REPLY"'


class Bench:
    """A libdir and who asks the agents in it."""

    def __init__(self, root: Path) -> None:
        self.place = root / "libdir" / "mcollective" / "agent"
        self.registry = Registry([], [root / "libdir"], asks=True)
        self.changes = 0
        self.activator = Activator(
            registry=self.registry, plugin_d=root / "plugin.d", on_change=self.count
        )

    def count(self) -> None:
        self.changes += 1

    def put(self, script: str, name: str = "wild") -> None:
        put_external(self.place, name, f"#!/bin/sh\n{script}\n")

    def why(self, script: str) -> str:
        """Why an agent of that script is refused."""
        self.put(script)
        self.activator.step()
        return self.registry.refused.get("wild", "")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.spec("EA-03", "EA-05", "EA-06")
def test_a_program_is_asked_as_choria_asks(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEETJOBS_NODE_BROKER", "secret")
    out = tmp_path / "out"
    out.mkdir()
    script = f"""
cd -P . && pwd > {out}/pwd
/usr/bin/env -u PWD -u OLDPWD -u SHLVL -u _ > {out}/env
printf '%s\\n' "$@" > {out}/words
cat "$1" > {out}/request
cat "$2" > {out}/reply; cat "$CHORIA_EXTERNAL_FACTS" > {out}/facts
[ -e "$2" ] && [ -e "$CHORIA_EXTERNAL_FACTS" ] && readlink /proc/$$/fd/0 > {out}/stdin
{YES}"""

    assert bench.why(script) == ""

    environment = dict(line.split("=", 1) for line in (out / "env").read_text().splitlines())
    words = (out / "words").read_text().splitlines()
    assert environment == {
        "PATH": os.environ["PATH"],
        "CHORIA_EXTERNAL_PROTOCOL": "io.choria.mcorpc.external.v1.activation_request",
        "CHORIA_EXTERNAL_REQUEST": words[0],
        "CHORIA_EXTERNAL_REPLY": words[1],
        "CHORIA_EXTERNAL_CONFIG": str(tmp_path / "plugin.d" / "wild"),
        "CHORIA_EXTERNAL_FACTS": environment["CHORIA_EXTERNAL_FACTS"],
    }
    assert words[2:] == ["io.choria.mcorpc.external.v1.rpc_request"]  # as Choria has it
    assert json.loads((out / "request").read_text()) == {
        "$schema": "https://choria.io/schemas/mcorpc/external/v1/activation_request.json",
        "protocol": "io.choria.mcorpc.external.v1.activation_request",
        "agent": "wild",
    }
    assert (out / "reply").read_text() == (out / "facts").read_text() == ""
    assert (out / "pwd").read_text().strip() == os.path.realpath(os.environ.get("TMPDIR", "/tmp"))  # noqa: S108  where it is to be
    assert (out / "stdin").read_text().strip() == "/dev/null"
    assert not Path(words[0]).exists()


@pytest.mark.spec("EA-03")
@pytest.mark.parametrize(
    ("script", "why"),
    [
        ('echo \'{"activate": false}\' > "$2"', "does not want to be on this machine"),
        ("echo '{}' > \"$2\"", "does not want to be on this machine"),
        ("exit 0", "left no reply"),
        ("exit 3", "ended with status 3"),
        (f"{YES}; exit 3", "ended with status 3"),
        ("kill -9 $$", "ended with status -9"),
        ('echo \'{"activate": "yes"}\' > "$2"', "cannot be read"),
        ('echo "{" > "$2"', "cannot be read"),
        ('rm "$2"; mkfifo "$2"', "not a file"),
    ],
)
def test_a_refused_agent_is_listed_with_the_reason(bench: Bench, script: str, why: str) -> None:
    assert why in bench.why(script)
    assert not bench.registry.agents


@pytest.mark.spec("EA-03")
def test_a_program_that_cannot_be_executed_is_refused(bench: Bench) -> None:
    put_external(bench.place, "wild", "#!/no/such/interpreter\n")

    bench.activator.step()

    assert "could not begin: No such file" in bench.registry.refused["wild"]


@pytest.mark.spec("EA-03")
def test_who_takes_longer_than_two_seconds_is_refused_and_leaves_nothing(
    bench: Bench, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"

    why = bench.why(f"trap '' TERM; sleep 61 & echo $! $$ > {pids}; yes")

    assert why.endswith("took longer than 2 s")
    for pid in pids.read_text().split():
        wait_for(lambda pid=pid: not alive(int(pid)))


def alive(pid: int) -> bool:
    """Whether it still does something."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def test_without_room_on_the_disk_an_agent_is_refused_and_the_node_goes_on(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))

    assert "could not begin: No such file" in bench.why(YES)


def test_a_daemon_that_it_leaves_holds_nobody_up(bench: Bench) -> None:
    assert bench.why(f"sleep 60 & {YES}") == ""


@pytest.mark.spec("EA-03")
def test_a_refused_agent_is_asked_again_after_a_while(bench: Bench, tmp_path: Path) -> None:
    there = tmp_path / "there"
    asked = tmp_path / "asked"
    assert bench.why(f"echo >> {asked}; [ -e {there} ] || exit 1; {YES}")
    there.touch()

    bench.activator.step()
    assert bench.registry.refused

    for standing in bench.activator.standings.values():
        standing.ask_at = 0.0
    bench.activator.step()
    assert set(bench.registry.agents) == {"wild"}
    assert len(asked.read_text().splitlines()) == 2


@pytest.mark.spec("EA-02", "EA-03")
def test_agents_are_asked_once_and_again_when_they_change(bench: Bench, tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    assert not bench.why(f"echo >> {asked}; {YES}")
    bench.activator.step()
    assert len(asked.read_text().splitlines()) == 1
    assert bench.changes == 1

    put(bench.place / "wild", f"#!/bin/sh\n# other\necho >> {asked}; {YES}\n", mode=0o755)
    bench.activator.step()
    assert len(asked.read_text().splitlines()) == 2

    (bench.place / "wild.json").unlink()
    bench.activator.step()
    assert (bench.registry.agents, bench.registry.refused) == ({}, {})
    assert not bench.activator.standings


def test_many_agents_are_asked_together(bench: Bench) -> None:
    for number in range(8):
        bench.put(YES, f"wild{number}")

    bench.activator.step()

    assert len(bench.registry.agents) == 8
