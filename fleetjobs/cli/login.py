"""`fj login`: a token for a password, written into the profile."""

import os
from pathlib import Path

import rich_click as click

from fleetjobs.cli.exits import EPILOG, Exit
from fleetjobs.cli.screen import line, stderr, stdout
from fleetjobs.cli.session import config_path
from fleetjobs.cli.words import local
from fleetjobs.client.fleet import Fleet
from fleetjobs.client.profile import Profile, find_profile, places, save_token
from fleetjobs.client.transport import Transport
from fleetjobs.errors import InvalidSetting


@click.command(epilog=EPILOG)
@click.argument("account")
@click.option("--url", metavar="URL", help="Of the server; else the profile's.")
@click.option("--print", "prints", is_flag=True, help="Print the token, and write no profile.")
def login(account: str, *, url: str | None, prints: bool) -> int:
    """Log in by a password: for twelve hours, commands act in the name of that account.

    The token goes into the client.toml that is used, or into a new one of yours.
    """
    path = config_path()
    if url is None:
        profile = find_profile(path)
    else:
        profile = Profile(url=url.rstrip("/"), token="", origin="--url")
    where = path or _file_of(profile, places(os.environ)[0])
    asked = Fleet(Transport(profile))
    secret = click.prompt("Password", hide_input=True, err=True)
    found = asked.tell("login", wish={"account": account, "password": secret})
    if prints:
        stdout().write(line(found["token"]))
        return Exit.OK
    save_token(where, url=profile.url, account=account, token=found["token"])
    until = local(found["expires_at"])
    stderr().write(f"Logged in as {line(account)} until {until}; see {where}")
    return Exit.OK


def _file_of(profile: Profile, own: Path) -> Path:
    """The file that the profile was read from; the user's own if it was none, or another's."""
    if profile.origin == "FLEETJOBS_URL":
        raise InvalidSetting(
            "FLEETJOBS_URL and FLEETJOBS_TOKEN are set and come before any file; use --print"
        )
    origin = Path(profile.origin)
    return origin if origin.is_file() and os.access(origin, os.W_OK) else own
