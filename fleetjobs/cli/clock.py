"""`fj clock`: the test clock of a fleet that was started with one."""

from datetime import datetime, timedelta

import click

from fleetjobs.cli.commands import group
from fleetjobs.cli.exits import EPILOG, Exit
from fleetjobs.cli.screen import stdout
from fleetjobs.cli.words import Duration
from fleetjobs.clocks import FASTEST, VARIABLE, set_clock
from fleetjobs.errors import InvalidTime

ABOUT = f"""\
Move the clock of a fleet that is being tested.

All programs that were started with `{VARIABLE}=FILE` go by the clock in that file, so that a night
passes in a second. Without the variable there is no such clock and nothing is moved.

[bold]Examples[/]

\b
  export {VARIABLE}=/tmp/clock
  fj up --state /tmp/fleet &
  fj clock set 2026-03-29T00:59:00Z
  fj clock advance 3h
  fj clock pace 1000
"""


@group(help=ABOUT, epilog=EPILOG)
def clock() -> None:
    """Move the clock of a fleet that is being tested."""


@clock.command(epilog=EPILOG)
def show() -> int:
    """Say what it shows."""
    return _say(set_clock())


@clock.command(epilog=EPILOG)
@click.argument("by", type=Duration())
def advance(by: timedelta) -> int:
    """Set it forward by so much, such as 3h."""
    return _say(set_clock(by=by))


@clock.command(epilog=EPILOG)
@click.argument("by", type=Duration())
def back(by: timedelta) -> int:
    """Set it back by so much, as a clock that was wrong would be."""
    return _say(set_clock(by=-by))


@clock.command("set", epilog=EPILOG)
@click.argument("moment")
def set_(moment: str) -> int:
    """Set it to a time, such as 2026-03-29T00:59:00Z."""
    try:
        wanted = datetime.fromisoformat(moment).astimezone()
    except (ValueError, OverflowError):
        raise InvalidTime(f"{moment[:60]!r} is no time such as 2026-03-29T00:59:00Z") from None
    return _say(set_clock(moment=wanted))


@clock.command(epilog=EPILOG)
@click.argument("rate", type=click.FloatRange(0, FASTEST))
def pace(rate: float) -> int:
    """Let it go so much faster than the machine's; 0 stops it, 1 is as fast."""
    return _say(set_clock(pace=rate))


def _say(shown: datetime) -> int:
    stdout().write(f"{shown:%Y-%m-%dT%H:%M:%S}Z")
    return Exit.OK
