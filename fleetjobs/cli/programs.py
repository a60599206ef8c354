"""The programs, from the command line: each takes our place, with its own arguments."""

import sys
from importlib.util import find_spec
from os import execv
from typing import Any, NoReturn

import click

from fleetjobs.cli.commands import Group, command
from fleetjobs.cli.exits import EPILOG

RAW = {"ignore_unknown_options": True, "allow_interspersed_args": False, "help_option_names": []}
SET_UP = ("init", "account", "token")  #: what `fj server` does once, not for ever

#: what a program needs that the bare installation does not have, and the extra that brings it
NEEDS = {
    "up": ("uvicorn", "server"),
    "server": ("uvicorn", "server"),
    "admin": ("sqlalchemy", "server"),
    "carriage": ("sqlalchemy", "server"),
    "coordinator": ("sqlalchemy", "server"),
    "flower": ("flower", "server"),
    "node": ("celery", "node"),
    "agent": ("msgspec", "node"),
}


def become(program: str, args: tuple[str, ...]) -> NoReturn:
    """Replace this process by the program. Raises ClickException if it is not installed."""
    module, extra = NEEDS[program]
    if find_spec(module) is None or find_spec(f"fleetjobs.programs.{program}") is None:
        raise click.ClickException(
            f"`{program}` is not installed here, only the client is\n"
            f"install it with: pip install 'fleetjobs[{extra}]'"
        )
    sys.stdout.flush()
    execv(  # noqa: S606  no shell is wanted
        # -P: nothing is imported from wherever somebody happens to stand
        sys.executable,
        [sys.executable, "-P", "-m", f"fleetjobs.programs.{program}", *args],
    )


class ProgramGroup(Group):
    """A group whose other options are for the program of that name."""

    def __init__(self, *given: Any, program: str, **more: Any) -> None:
        """Commands of the group are ours, and help; all else is the program's."""
        super().__init__(*given, **more)
        self._program = program

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Become the program, unless a command or help is asked for."""
        known = (*self.list_commands(ctx), "-h", "--help")
        is_ours = args and (args[0] in known or not args[0].startswith("-"))
        if not is_ours and not ctx.resilient_parsing:
            become(
                self._program, tuple("--help" if arg == "--help-program" else arg for arg in args)
            )
        return super().parse_args(ctx, args)


def passed_on(program: str, word: str, about: str) -> click.Command:
    """A command that the program itself knows."""

    @command(word, help=about, context_settings=RAW, add_help_option=False)
    @click.argument("args", nargs=-1, type=click.UNPROCESSED)
    def run(args: tuple[str, ...]) -> None:
        become(program, (word, *args))

    return run


def _command(program: str) -> click.Command:
    @command(program, context_settings=RAW, add_help_option=False)
    @click.argument("args", nargs=-1, type=click.UNPROCESSED)
    def run(args: tuple[str, ...]) -> None:
        sets_up = program == "server" and args[:1] and args[0] in SET_UP
        become("admin" if sets_up else program, args)

    return run


up = _command("up")
server = _command("server")
flower = _command("flower")

_SETTINGS = click.option(
    "--config", "settings", metavar="FILE", help="The server's settings, TOML; else its variables."
)


@command("export", epilog=EPILOG)
@click.option("--all", "everything", is_flag=True, required=True, help="Everything there is.")
@click.option("--move", is_flag=True, help="And let this installation hand nothing over any more.")
@_SETTINGS
def export(*, everything: bool, move: bool, settings: str | None) -> None:
    """Write everything the server knows to standard output, as one JSON document.

    It works on the server's database, without a token. The document holds secrets, as that does.

    [bold]Examples[/]

    fj export --all --move --config /etc/fleetjobs/server.toml > d.json
    """
    given = ("--all",) if everything else ()
    become("carriage", ("export", *given, *(("--move",) if move else ()), *_named(settings)))


@command("import", epilog=EPILOG)
@click.argument("file", metavar="FILE")
@_SETTINGS
def import_(file: str, *, settings: str | None) -> None:
    """Take what `fj export` wrote into an empty installation; `-` is standard input.

    All of it is taken, or nothing.

    [bold]Examples[/]

    fj import d.json --config /etc/fleetjobs/server.toml
    """
    become("carriage", ("import", file, *_named(settings)))


def _named(settings: str | None) -> tuple[str, ...]:
    return ("--config", settings) if settings else ()
