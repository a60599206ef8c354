"""Profile: which server to ask, and as whom."""

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fleetjobs.errors import InvalidSetting

KEYS = ("url", "token", "account", "org", "key")
NAME = "client.toml"
SYSTEM_WIDE = Path("/etc/fleetjobs") / NAME


class Profile(NamedTuple):
    """How a caller reaches a server."""

    url: str  # without a slash at its end
    token: str
    account: str = ""  # needed with a key: the request names its caller
    org: str = ""
    key_path: Path | None = None  # None: the server signs what is asked
    origin: str = ""  # the file or variable it was found in
    as_org: str = ""  # of a fleet admin: in which org they act; empty: their own

    def __repr__(self) -> str:
        """Without the token: a profile may get into a log."""
        return f"<Profile {self.account or '?'} at {self.url}>"

    def acting_in(self, org: str) -> "Profile":
        """The profile of a fleet admin who acts in that org."""
        return self._replace(org=org, as_org=org)


def places(environ: Mapping[str, str]) -> list[Path]:
    """Where a profile is looked for when none is named, the first one found wins."""
    home = Path(environ.get("HOME") or Path.home())
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    state = Path(environ.get("XDG_DATA_HOME") or home / ".local/share")
    return [config / "fleetjobs" / NAME, state / "fleetjobs" / NAME, SYSTEM_WIDE]


def find_profile(config: Path | None = None, environ: Mapping[str, str] = os.environ) -> Profile:
    """The profile to use. Raises InvalidSetting, telling where it was looked for.

    In this order: the file named, `FLEETJOBS_CONFIG`, `FLEETJOBS_URL`, the first of `places`.
    """
    named = config or (
        Path(environ["FLEETJOBS_CONFIG"]) if environ.get("FLEETJOBS_CONFIG") else None
    )
    if named is not None:
        return read_profile(named)
    if environ.get("FLEETJOBS_URL"):
        return _from_environment(environ)
    looked = places(environ)
    for path in looked:
        if path.exists():
            return read_profile(path)
    raise InvalidSetting(
        "no server is known: FLEETJOBS_URL is not set, and there is none of\n"
        + "\n".join(f"  {path}" for path in looked)
    )


def read_profile(path: Path) -> Profile:
    """The profile in a TOML file. Raises InvalidSetting naming file and field."""
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InvalidSetting(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidSetting(f"{path}: not TOML: {error}") from None
    unknown = sorted(set(values) - set(KEYS))
    if unknown:
        raise InvalidSetting(f"{path}: unknown setting {unknown[0]!r}; known: {', '.join(KEYS)}")
    return _make(values, origin=str(path), directory=path.parent)


def _from_environment(environ: Mapping[str, str]) -> Profile:
    values = {key: environ.get(f"FLEETJOBS_{key.upper()}") for key in KEYS}
    given = {key: value for key, value in values.items() if value}
    return _make(given, origin="FLEETJOBS_URL", directory=Path())


def _make(values: Mapping[str, Any], *, origin: str, directory: Path) -> Profile:
    for name, value in values.items():
        if not isinstance(value, str):
            raise InvalidSetting(f"{origin}: {name} is a text, not {value!r}")
    url = values.get("url", "").rstrip("/")
    if not url.startswith(("http://", "https://")):
        found = f"not {url!r}" if url else "and is missing"
        raise InvalidSetting(f"{origin}: url is a text such as http://127.0.0.1:8800, {found}")
    token = values.get("token", "")
    if not token.isascii() or not token.isprintable():
        raise InvalidSetting(f"{origin}: token holds characters that no token has")
    key = values.get("key")
    if key and not (values.get("account") and values.get("org")):
        raise InvalidSetting(f"{origin}: with a key, account and org have to be given too")
    return Profile(
        url=url,
        token=token,
        account=values.get("account", ""),
        org=values.get("org", ""),
        key_path=directory / Path(key).expanduser() if key else None,
        origin=origin,
    )


def save_token(path: Path, *, url: str, account: str, token: str) -> None:
    """Write a profile for its owner's eyes only; what it says of the same account's key stays.

    Raises InvalidSetting.
    """
    values: dict[str, str] = {}
    if path.exists():
        old = read_profile(path)
        if old.account == account and old.key_path is not None:
            values = {"org": old.org, "key": str(old.key_path)}
    values |= {"url": url, "account": account, "token": token}
    text = "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.unlink(missing_ok=True)
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        aside.replace(path)
    except OSError as error:
        raise InvalidSetting(f"{path}: cannot be written: {error.strerror}") from None
