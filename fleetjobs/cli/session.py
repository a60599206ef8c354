"""Session: the fleet that this command line asks."""

from pathlib import Path

import click

from fleetjobs.client.fleet import Fleet

CONFIG = "config"  #: the option of the root command


def fleet() -> Fleet:
    """The fleet of --config, or of the profile found. Raises InvalidSetting."""
    return fleet_of(click.get_current_context())


def fleet_of(context: click.Context) -> Fleet:
    """The fleet of a command that is being run or completed."""
    given = context.find_root().params.get(CONFIG)
    made = Fleet.connect(Path(given) if given else None)
    context.find_root().call_on_close(made.transport.close)
    return made


def program() -> str:
    """The name we were called by: `fj`, or `fleetjobs`."""
    context = click.get_current_context(silent=True)
    return (context.find_root().info_name if context else None) or "fj"
