"""`fj login` and `fj logout`: a token for a password, written into the profile and taken out."""

import os
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path

import click

from fleetjobs.cli.commands import command
from fleetjobs.cli.exits import EPILOG, Exit
from fleetjobs.cli.screen import line, stderr, stdout
from fleetjobs.cli.session import config_path, program
from fleetjobs.cli.words import local
from fleetjobs.client.fleet import Fleet
from fleetjobs.client.profile import Profile, find_profile, places, save_token
from fleetjobs.client.transport import Transport
from fleetjobs.errors import InvalidSetting, Problem

UNAUTHORIZED = HTTPStatus.UNAUTHORIZED
TOKEN_NAME = 16  #: digits of its SHA-256 by which a token is called


@command(epilog=EPILOG)
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
    try:
        found = asked.tell("login", wish={"account": account, "password": secret})
    except Problem as problem:
        if problem.status == UNAUTHORIZED:
            problem.add_note(f"`{program()} account password {account}`, by an admin, sets another")
        raise
    if prints:
        stdout().write(line(found["token"]))
        return Exit.OK
    save_token(where, url=profile.url, account=account, token=found["token"])
    until = local(found["expires_at"])
    stderr().write(f"Logged in as {line(account)} until {until}; see {where}")
    return Exit.OK


@command(epilog=EPILOG)
def logout() -> int:
    """Have the token of the profile revoked, and taken out of its file."""
    path = config_path()
    profile = find_profile(path)
    if not profile.token:
        raise click.ClickException(f"{profile.origin} has no token: you are logged out")
    where = path or _file_of(profile, places(os.environ)[0])
    name = sha256(profile.token.encode("utf-8")).hexdigest()[:TOKEN_NAME]
    try:
        Fleet(Transport(profile)).tell("tokens", name, method="DELETE")
    except Problem as problem:
        if problem.status != UNAUTHORIZED:  # else it counts no more, and that is what is wanted
            raise
    save_token(where, url=profile.url, account=profile.account, token="")
    stderr().write(f"Logged out: the token is revoked, and no longer in {where}")
    return Exit.OK


def _file_of(profile: Profile, own: Path) -> Path:
    """The file that the profile was read from; the user's own if it was none, or another's."""
    if profile.origin == "FLEETJOBS_URL":
        raise InvalidSetting(
            "FLEETJOBS_URL and FLEETJOBS_TOKEN are set and come before any file; use --print"
        )
    origin = Path(profile.origin)
    return origin if origin.is_file() and os.access(origin, os.W_OK) else own
