"""The rim of the command line: help, errors, start-up cost, completion."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import is_dataclass
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import pytest

from fleetjobs.cli import main, programs
from fleetjobs.cli.main import COMMANDS, cli, run
from fleetjobs.signing import SigningKey
from tests.fake_fleet import FakeNode, ok
from tests.fake_http import TOKEN
from tests.fake_server import FakeServer

HEAVY = (
    "celery",
    "dateparser",
    "sqlalchemy",
    "kombu",
    "fastapi",
    "starlette",
    "pydantic",
    "uvicorn",
)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    with FakeServer([FakeNode(name=f"web{n}", outcome=ok()) for n in range(3)]) as server:
        monkeypatch.setenv("FLEETJOBS_URL", server.url)
        monkeypatch.setenv("FLEETJOBS_TOKEN", TOKEN)
        monkeypatch.delenv("FLEETJOBS_CONFIG", raising=False)
        yield server


def imported(*args: str) -> set[str]:
    """The modules that a command line loads."""
    code = (
        "import sys; from fleetjobs.cli.main import run\n"
        f"code = run({list(args)!r})\n"
        "print('\\n'.join(sys.modules), file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    return set(done.stderr.split())


@pytest.mark.parametrize(
    "args",
    [
        ("--help",),
        ("rpc", "--help"),
        ("job", "list"),
        ("job", "cancel", "--help"),
        ("node", "list"),
        ("rpc", "rpcutil", "ping"),
        ("submit", "rpcutil", "ping", "--at", "+2h"),
    ],
)
def test_nothing_heavy_is_imported(server: FakeServer, args: tuple[str, ...]) -> None:
    assert server.url

    loaded = imported(*args)

    assert not [name for name in HEAVY if name in loaded]


def test_looking_at_jobs_needs_neither_keys_nor_colours(server: FakeServer) -> None:
    """Piped, `fj job list` draws no table of rich's and signs nothing."""
    assert server.url

    loaded = imported("job", "list")

    assert not {"rich.console", "cryptography", "msgspec"} & loaded


#: what draws help, speaks TLS or mail, reads keys of all kinds, international names or patterns
SPARED = {
    "cryptography.hazmat.primitives.serialization",
    "encodings.idna",
    "hashlib",
    "http.client",
    "random",
    "re2",
    "rich_click",
    "ssl",
}


def test_a_call_loads_nothing_that_it_does_not_need(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = SigningKey.generate("account:ann")
    key.save(tmp_path / "key.pem")
    server.key = key.verify_key
    config = tmp_path / "client.toml"
    who = 'account = "ann"\norg = "acme"\nkey = "key.pem"\n'
    config.write_text(f'url = "{server.url}"\ntoken = "{TOKEN}"\n{who}')
    monkeypatch.setenv("FLEETJOBS_CONFIG", str(config))

    loaded = imported("rpc", "rpcutil", "ping")

    assert "cryptography" in loaded
    assert not SPARED & loaded
    ours = [import_module(name) for name in loaded if name.split(".")[0] == "fleetjobs"]
    values = [value for module in ours for value in vars(module).values()]
    assert not [value for value in values if is_dataclass(value)], "each takes 0.3 to 0.6 ms"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_be_loaded_and_tells_of_itself(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = cli.load(name)

    assert command.name == {"inventory": "show"}.get(name, name)
    if name not in programs.NEEDS or name == "node":
        assert run([name, "--help"]) == 0
        assert "Usage: fj" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["rpc", "submit", "ping", "find", "facts", "doc", "completion"])
def test_help_has_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    run([name, "--help"])

    assert f"fj {name}" in capsys.readouterr().out.split("Examples")[1]


def test_help_tells_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    assert "3 none replied" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("args", "texts"),
    [
        (("rcp",), ("did you mean rpc?", "usage: fj ", "fj --help")),
        (("rpc",), ("missing argument 'AGENT'", "usage: fj rpc")),
        (("rpc", "rpcutil", "ping", "--jsn"), ("--json", "fj rpc --help")),
        (("rpc", "rpcutl", "ping"), ("did you mean rpcutil?", "fj doc")),
        (("rpc", "rpcutil", "pnig"), ("did you mean ping?",)),
        (("rpc", "rpcutil", "get_fact"), ("needs fact", "usage: rpcutil get_fact fact=STRING")),
        (("rpc", "rpcutil", "test", "count=x"), ("count must be a whole number",)),
        (("rpc", "rpcutil", "test", "secret=`x`"), ("safe for a shell", "doc rpcutil test")),
        (("rpc", "rpcutil", "ping", "-t", "5x"), ("5m",)),
        (("submit", "rpcutil", "ping", "--at", "soon"), ("2026-12-01 04:00", "+2h")),
        (("submit", "rpcutil", "ping", "--at", "+1h", "--delay", "1h"), ("exclude",)),
        (("rpc", "rpcutil", "ping", "-I", "web9"), ("web9", "fj find")),
        (("rpc", "rpcutil", "ping", "-S", "(web"), ("-S 'web and not db'",)),
        (("rpc", "rpcutil", "ping", "--nodes", "/nope"), ("/nope", "No such file")),
        (("--config", "/nope", "status"), ("/nope", "No such file")),
    ],
)
def test_an_error_says_what_was_wrong_and_what_to_do(
    server: FakeServer,
    capsys: pytest.CaptureFixture[str],
    args: tuple[str, ...],
    texts: tuple[str, ...],
) -> None:
    code = run(args)

    err = capsys.readouterr().err
    assert code == 1
    assert err.startswith("fj: ")
    assert [text for text in texts if text not in err] == []
    assert not server.jobs


def test_a_server_that_is_away_is_told_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FLEETJOBS_URL", "http://127.0.0.1:1")

    assert run(["status"]) == 1

    err = capsys.readouterr().err
    assert "connection refused" in err
    assert "fj up" in err


def test_a_wrong_token_is_told_with_what_to_do(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert server.url
    monkeypatch.setenv("FLEETJOBS_TOKEN", "fjt_wrong")

    assert run(["status"]) == 1
    assert "fj server token" in capsys.readouterr().err


def test_a_defect_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def break_down(*_: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(main, "_invoke", break_down)

    assert run(["status"]) == 1
    assert "should not happen: ZeroDivisionError: by zero" in capsys.readouterr().err


def test_programs_take_our_place_with_their_own_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    became: list[list[str]] = []

    def execv(_: str, args: list[str]) -> NoReturn:
        became.append(args[1:])
        sys.exit(0)

    monkeypatch.setattr(programs, "execv", execv)
    monkeypatch.setattr(programs, "find_spec", lambda _: True)

    for line in (
        ["up", "--nodes", "5", "--help"],
        ["server", "--port", "1"],
        ["server", "token", "--account", "ann"],
        ["node", "--settings", "x"],
        ["node"],
    ):
        with pytest.raises(SystemExit):
            run(line)

    assert became == [
        ["-P", "-m", "fleetjobs.programs.up", "--nodes", "5", "--help"],
        ["-P", "-m", "fleetjobs.programs.server", "--port", "1"],
        ["-P", "-m", "fleetjobs.programs.admin", "token", "--account", "ann"],
        ["-P", "-m", "fleetjobs.programs.node", "--settings", "x"],
        ["-P", "-m", "fleetjobs.programs.node"],
    ]


def test_a_program_that_is_not_installed_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(programs, "find_spec", lambda _: None)

    assert run(["server"]) == 1
    assert "fleetjobs[server]" in capsys.readouterr().err


def complete(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setenv("_FJ_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", " ".join(["fj", *words]))
    monkeypatch.setenv("COMP_CWORD", str(len(words)))
    run([])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("rp",), "rpc"),
        (("rpc", "rpc"), "rpcutil"),
        (("rpc", "rpcutil", "get"), "get_fact"),
        (("rpc", "rpcutil", "get_fact", "fa"), "fact="),
        (("rpc", "rpcutil", "ping", "-I", "web2"), "web2"),
        (("find", "-F", "os"), "os.name="),
        (("find", "-C", "w"), "web"),
        (("job", "sh"), "show"),
        (("node", "show", "web1"), "web1"),
    ],
)
def test_the_shell_completes_what_the_fleet_has(
    server: FakeServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    expected: str,
) -> None:
    assert server.url

    complete(monkeypatch, *words)

    assert f"plain,{expected}\n" in capsys.readouterr().out


def test_completion_is_silent_if_the_server_is_away(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FLEETJOBS_URL", "http://127.0.0.1:1")

    complete(monkeypatch, "rpc", "rpc")

    captured = capsys.readouterr()
    assert (captured.out.strip(), captured.err) == ("", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_set_up_for_both_names(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["completion", shell]) == 0

    out = capsys.readouterr().out
    assert "_FJ_COMPLETE" in out
    assert "_FLEETJOBS_COMPLETE" in out


def on_a_terminal(*args: str, **environ: str) -> str:
    """What a command line writes to a terminal of 100 columns."""
    pid, terminal = pty.fork()
    if pid == 0:  # pragma: no cover  the child
        os.environ.update(environ, TERM="xterm-256color", COLUMNS="100")
        os.execv(sys.executable, [sys.executable, "-m", "fleetjobs.cli.start", *args])  # noqa: S606
    output = b""
    try:
        while piece := os.read(terminal, 65536):
            output += piece
    except OSError:  # Linux says EIO when the other end is gone
        pass
    os.waitpid(pid, 0)
    os.close(terminal)
    return output.decode()


def test_a_terminal_gets_colours_and_a_bar(server: FakeServer) -> None:
    server.nodes["web2"].delay = 1.0

    output = on_a_terminal("rpc", "rpcutil", "ping")

    assert "\x1b[1mweb0" in output
    assert "2/3" in output
    assert "3 nodes: \x1b[32m3 ok" in output


def test_no_color_is_honoured(server: FakeServer) -> None:
    server.nodes["web2"].delay = 0.6

    output = on_a_terminal("rpc", "rpcutil", "ping", NO_COLOR="1")

    assert "\x1b[1m" not in output
    assert "\x1b[32m" not in output


def test_a_quick_call_shows_no_bar(server: FakeServer) -> None:
    assert server.url

    assert "2/3" not in on_a_terminal("rpc", "rpcutil", "ping")
