"""The programs, from the command line: each takes our place, with its own arguments."""

import sys
from importlib.util import find_spec
from os import execv
from typing import NoReturn

import rich_click as click

RAW = {"ignore_unknown_options": True, "allow_interspersed_args": False, "help_option_names": []}
SET_UP = ("init", "account", "token")  #: what `fj server` does once, not for ever

#: what a program needs that the bare installation does not have, and the extra that brings it
NEEDS = {
    "up": ("uvicorn", "server"),
    "server": ("uvicorn", "server"),
    "admin": ("sqlalchemy", "server"),
    "coordinator": ("sqlalchemy", "server"),
    "flower": ("flower", "server"),
    "node": ("celery", "node"),
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
        sys.executable, [sys.executable, "-m", f"fleetjobs.programs.{program}", *args]
    )


def _command(program: str) -> click.Command:
    @click.command(program, context_settings=RAW, add_help_option=False)
    @click.argument("args", nargs=-1, type=click.UNPROCESSED)
    def run(args: tuple[str, ...]) -> None:
        sets_up = program == "server" and args[:1] and args[0] in SET_UP
        become("admin" if sets_up else program, args)

    return run


up = _command("up")
server = _command("server")
coordinator = _command("coordinator")
flower = _command("flower")
