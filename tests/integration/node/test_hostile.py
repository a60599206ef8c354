"""Programs that mean ill, or mean nothing: each comes to one clear outcome, in bounded room."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetjobs.messages import Reply, Verb
from fleetjobs.names import JobId
from fleetjobs.node.process import tree
from fleetjobs.spool.attempts import RunKey
from fleetjobs.states import Reason, State
from tests.integration.node.conftest import end_below
from tests.wild import ddl, put_external, put_script
from tests.workbench import Desk, wait_for, write_agent

MIB = 1024 * 1024
#: how each provider's program says that all is well
OK = {
    "fleetjobs": 'echo \'{"data": {"said": "well"}}\' > "$FLEETJOBS_REPLY"',
    "external": 'echo \'{"data": {"said": "well"}}\' > "$2"',
    "implemented_by": 'echo \'{"said": "well"}\' > "$2"',
}
PROVIDERS = list(OK)


@pytest.fixture(params=PROVIDERS)
def provider(request: pytest.FixtureRequest) -> str:
    """By each contract in turn."""
    name: str = request.param
    return name


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A node that keeps little of what is written, and has little patience."""
    desk = Desk(tmp_path, output_limit=MIB, grace_s=0.3)
    yield desk
    desk.close()
    end_below(tmp_path)


def act(desk: Desk, provider: str, script: str, timeout: int = 60, within: float = 60) -> Reply:
    """What comes of a shell script behind an agent of that provider."""
    program = f"#!/bin/sh\n{script}\n"
    libdir = desk.root / "libdir"
    if provider == "fleetjobs":
        write_agent(desk.agents, "shell", program=program, timeout=timeout)
        return desk.reply(desk.accept(), within)
    if provider == "external":
        document = ddl("wild", timeout=timeout)
        put_external(libdir / "mcollective" / "agent", "wild", program, document)
        return desk.reply(desk.accept(agent="wild", action="say"), within)
    put_script(libdir, "lab", program)
    ruby = libdir / "mcollective" / "agent" / "lab.ddl"
    ruby.write_text(ruby.read_text().replace("=> 20", f"=> {timeout}"))
    return desk.reply(desk.accept(agent="lab", action="say"), within)


def nothing_left(desk: Desk, provider: str) -> bool:
    """Whether no process of the only run is there any more."""
    (run,) = (desk.root / "spool" / "runs").iterdir()
    name = {
        "fleetjobs": "FLEETJOBS_REQUEST",
        "external": "CHORIA_EXTERNAL_REQUEST",
        "implemented_by": "MCOLLECTIVE_REQUEST_FILE",
    }[provider]
    return not tree(None, f"{name}={run}/request.json")


@pytest.mark.spec("EA-17")
def test_who_never_leaves_and_ignores_term_is_ended(desk: Desk, provider: str) -> None:
    child = "setsid sh -c \"trap '' TERM; sleep 62\" &"
    script = f"trap '' TERM INT HUP; {child} while :; do sleep 1; done"

    reply = act(desk, provider, script, timeout=2)

    assert (reply.state, reply.reason, reply.statuscode) == (State.FAILED, Reason.TIMEOUT, 1)
    assert nothing_left(desk, provider)


@pytest.mark.spec("EA-17", "S0-04")
@pytest.mark.parametrize("agent", ["wild", "lab"])
def test_a_foreign_program_that_is_cancelled_is_gone_with_all_it_started(
    desk: Desk, tmp_path: Path, agent: str
) -> None:
    begun = tmp_path / "begun"
    program = f"#!/bin/sh\ntrap '' TERM\nsetsid sleep 60 &\ntouch {begun}\nsleep 60\n"
    libdir = desk.root / "libdir"
    put_external(libdir / "mcollective" / "agent", "wild", program, ddl("wild"))
    put_script(libdir, "lab", program)
    run = desk.accept(agent=agent, action="say")
    desk.drive(begun.exists)

    desk.order(Verb.STOP, run.key)
    reply = desk.reply(run)

    assert (reply.state, reply.reason) == (State.CANCELLED, Reason.CANCELLED)
    assert nothing_left(desk, "external" if agent == "wild" else "implemented_by")


@pytest.mark.spec("EA-17")
def test_who_forks_away_has_ended_by_what_it_left(
    desk: Desk, provider: str, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    daemon = f"setsid sleep 60 >/dev/null 2>&1 & echo $! > {pid}"

    reply = act(desk, provider, f"{daemon}; {OK[provider]}")

    assert (reply.state, reply.data["said"]) == (State.SUCCEEDED, "well")
    os.kill(int(pid.read_text()), 9)


@pytest.mark.spec("EA-17")
def test_who_forks_away_and_says_nothing_has_failed(desk: Desk, provider: str) -> None:
    reply = act(desk, provider, "setsid sleep 1 & exit 0")

    if provider == "implemented_by":  # there no reply is no data, and the exit status counts
        assert (reply.state, reply.data) == (State.SUCCEEDED, {"tone": "calm"})
    else:
        assert (reply.state, reply.reason) == (State.FAILED, Reason.NO_REPLY)


@pytest.mark.spec("EA-17")
def test_a_reply_that_is_written_after_the_end_comes_too_late(
    desk: Desk, provider: str, tmp_path: Path
) -> None:
    go, done = tmp_path / "go", tmp_path / "done"
    late = f"while ! [ -e {go} ]; do sleep 0.02; done; {OK[provider]}; touch {done}"

    reply = act(desk, provider, f"({late}) & exit 0")
    go.touch()
    wait_for(done.exists)

    assert "said" not in reply.data
    run = desk.spool.find(RunKey(JobId(reply.job), reply.attempt))
    assert run is not None
    assert desk.read(run) == reply


@pytest.mark.spec("EA-17")
@pytest.mark.parametrize("close", ["exec >&- 2>&-", "exec <&- >&- 2>&-"])
def test_who_closes_its_streams_is_heard_to_the_end(desk: Desk, provider: str, close: str) -> None:
    reply = act(desk, provider, f"echo first; {close}; sleep 0.3; {OK[provider]}")

    assert (reply.state, reply.data["said"]) == (State.SUCCEEDED, "well")
    assert reply.stdout is not None
    assert reply.stdout.content == b"first\n"


@pytest.mark.spec("EA-17")
def test_who_fills_its_streams_is_counted_and_not_kept(desk: Desk, provider: str) -> None:
    size = 300 * MIB
    fill = f"head -c {size} /dev/zero"
    before = _biggest_child_kib()

    reply = act(desk, provider, f"{fill} & {fill} >&2; wait; {OK[provider]}")

    assert reply.state is State.SUCCEEDED
    for output in (reply.stdout, reply.stderr):
        assert output is not None
        assert output.size == size
        assert len(output.content) <= MIB
    assert on_disk(desk.root / "spool") < 4 * MIB
    assert _biggest_child_kib() < max(200 * 1024, before + 1)


def _biggest_child_kib() -> int:
    """Of all that ever ended below this process: other tests may have had bigger ones before."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss


def on_disk(directory: Path) -> int:
    """Bytes that all files below take."""
    return sum(path.stat().st_blocks * 512 for path in directory.rglob("*") if path.is_file())


@pytest.mark.spec("EA-17")
def test_a_reply_without_end_is_cut_off(desk: Desk, provider: str) -> None:
    reply_file = '"$FLEETJOBS_REPLY"' if provider == "fleetjobs" else '"$2"'

    reply = act(desk, provider, f"head -c {300 * MIB} /dev/zero | tr '\\0' x > {reply_file}")

    assert (reply.state, reply.reason) == (State.FAILED, Reason.NO_REPLY)
    assert "longer than" in reply.statusmsg
    assert on_disk(desk.root / "spool") < 4 * MIB


@pytest.mark.spec("EA-17")
@pytest.mark.parametrize(
    "breaks",
    [
        "echo x; until [ -e stdout ]; do sleep 0.05; done; rm stdout; mkfifo stdout",
        "mkfifo stdout; echo x",
    ],
    ids=["while it is kept", "before it is kept"],
)
def test_who_breaks_its_own_run_directory_still_gets_an_end(
    desk: Desk, provider: str, breaks: str
) -> None:
    reply_file = '"$FLEETJOBS_REPLY"' if provider == "fleetjobs" else '"$2"'
    script = f'cd "$(dirname {reply_file})"; rm -f reply.json; mkfifo reply.json; {breaks}'

    reply = act(desk, provider, script)

    assert (reply.state, reply.reason) == (State.FAILED, Reason.NO_REPLY)
    assert "not a file" in reply.statusmsg


@pytest.mark.spec("EA-17")
def test_the_others_go_on_while_one_misbehaves(desk: Desk) -> None:
    libdir = desk.root / "libdir" / "mcollective" / "agent"
    put_external(libdir, "bad", "#!/bin/sh\nyes & yes >&2 & sleep 60\n", ddl("bad", timeout=600))
    put_external(libdir, "good", f"#!/bin/sh\n{OK['external']}\n", ddl("good"))
    desk.accept(agent="bad", action="say")

    replies = [desk.do(agent="good", action="say") for _ in range(3)]

    assert [reply.state for reply in replies] == [State.SUCCEEDED] * 3
