"""Session: the fleet that this command line asks."""

from pathlib import Path

import click

from fleetjobs.client.fleet import Fleet

CONFIG = "config"  #: the option of the root command
AS_ORG = "as_org"  #: likewise


def fleet(as_org: str | None = None) -> Fleet:
    """The fleet of --config, or of the profile found; seen by whoever acts in that org.

    Raises InvalidSetting.
    """
    return fleet_of(click.get_current_context(), as_org)


def fleet_of(context: click.Context, as_org: str | None = None) -> Fleet:
    """The fleet of a command that is being run or completed."""
    given = context.find_root().params.get(CONFIG)
    made = Fleet.connect(Path(given) if given else None)
    wanted = as_org or context.find_root().params.get(AS_ORG)
    if wanted:
        made.transport.profile = made.transport.profile.acting_in(wanted)
    context.find_root().call_on_close(made.transport.close)
    return made


def config_path() -> Path | None:
    """The file of --config, if it was given."""
    given = click.get_current_context().find_root().params.get(CONFIG)
    return Path(given) if given else None


def program() -> str:
    """The name we were called by: `fj`, or `fleetjobs`."""
    context = click.get_current_context(silent=True)
    return (context.find_root().info_name if context else None) or "fj"
