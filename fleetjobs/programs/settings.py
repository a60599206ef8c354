"""Settings: TOML files overlaid by FLEETJOBS_<PROGRAM>_* variables, read into frozen structs.

msgspec rather than pydantic-settings: a node pays for every megabyte and a command for every
hundredth of a second.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import fields

from fleetjobs.errors import InvalidSetting
from fleetjobs.notices import FORBIDDEN, Tls

PREFIX = "FLEETJOBS_"
S = TypeVar("S", bound=Struct)


class NodeSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a node needs to know. Relative paths are relative to the settings file."""

    identity: str
    broker: str  # URL
    state: Path  # spool, node.json
    key: Path  # the node's private key, PEM
    trust: Path  # directory of <key id>.pub
    policy: Path  # TOML
    agents: tuple[Path, ...] = ()  # beside those that come with fleetjobs
    choria_libdirs: tuple[Path, ...] = ()  # theirs lie in `mcollective/agent` below
    choria_plugin_d: Path = Path("/etc/choria/plugin.d")  # settings of external agents
    facts: tuple[Path, ...] = ()
    classes: Path = Path("classes")
    environments: Path = Path("environment")  # directory; <agent> holds NAME=value for its programs
    slots: int = 8  # runs at once
    beat_every_s: float = 10.0
    keep_days: float = 7.0  # an ended run, its reply and its logs
    keep_bytes: int = 1024 * 1024 * 1024  # of ended runs; beyond that the oldest go sooner
    log_level: str = "INFO"


class CoordinatorSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the coordinator needs to know."""

    broker: str  # URL
    database: str  # URL
    key: Path  # the coordinator's private key, PEM
    server_key: Path | None = (
        None  # the server's, for what schedules and actions ask; None: nothing
    )
    lease_s: float = 10.0  # a coordinator that is gone is followed after that
    keep_jobs_days: float = 365.0  # after their end, as the others
    keep_logs_days: float = 30.0
    keep_attempts_days: float = 7.0  # those before the last one of each run
    keep_legs_days: float | None = None  # of plans that succeeded; None: as long as the plan
    ask_after_s: float = 60.0  # a node that told nothing of a run for that long is asked
    smtp_host: str | None = None  # the mail server for notifications; None: there is none
    smtp_port: int = 25
    smtp_from: str = "fleetjobs@localhost"
    smtp_tls: Tls = Tls.NONE  # or starttls, tls
    smtp_user: str = ""
    smtp_password: Path | None = None  # a file
    webhook_key: Path | None = None  # a file with the secret that signs them; None: not signed
    webhook_forbidden: tuple[str, ...] = FORBIDDEN  # networks to which none may go
    admins: tuple[str, ...] = ()  # sinks that hear of mistakes of the coordinator's own
    log_level: str = "INFO"


class ServerSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the server needs to know."""

    database: str  # URL
    key: Path  # the server's private key, PEM
    host: str = "127.0.0.1"
    port: int = 8800
    runs_per_node: Annotated[int, Meta(ge=0)] = 10_000  # not ended; then it is 429; 0: no limit
    jobs_per_org: Annotated[int, Meta(ge=0)] = 100_000  # likewise
    disabled_schedules: tuple[str, ...] = ()  # labels of builtin ones; see docs/maintenance.md
    log_level: str = "INFO"


def load_settings(kind: type[S], path: Path | None, environment: Mapping[str, str]) -> S:
    """Settings of that kind from a file and the environment, which wins.

    `FLEETJOBS_NODE_SLOTS=4` sets a node's `slots`; lists are separated by colons, as in PATH.
    Raises InvalidSetting naming the file and the field.
    """
    values = _from_file(path) if path else {}
    values |= _from_environment(kind, environment)
    if not path and not values:
        needed = [_variable(kind, field.name) for field in fields(kind) if field.required]
        ways = f"--config FILE, or set {', '.join(needed)}"
        raise InvalidSetting(f"no settings are known: give {ways}")
    try:
        settings = msgspec.convert(values, kind, strict=False, dec_hook=_decode)
    except (msgspec.ValidationError, ValueError) as error:
        origin = path or "the environment"
        known = ", ".join(kind.__struct_fields__)
        raise InvalidSetting(f"{origin}: {error}; known settings: {known}") from None
    return _absolute(settings, path.absolute().parent if path else Path.cwd())


def _from_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidSetting(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise InvalidSetting(f"{path}: cannot be read as TOML: {error}") from None


def _from_environment(kind: type[Struct], environment: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in fields(kind):
        text = environment.get(_variable(kind, field.name))
        if text is not None:
            several = getattr(field.type, "__origin__", None) is tuple
            found[field.name] = text.split(os.pathsep) if several else text
    return found


def _variable(kind: type[Struct], name: str) -> str:
    """Each program has its own prefix: FLEETJOBS_KEY alone is the caller's."""
    return f"{PREFIX}{kind.__name__.removesuffix('Settings')}_{name}".upper()


def _decode(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str):
        return Path(value).expanduser()
    raise ValueError(f"expected {kind.__name__}, got {value!r:.60}")


def _absolute(settings: S, base: Path) -> S:
    changes: dict[str, Any] = {}
    for name in settings.__struct_fields__:
        value = getattr(settings, name)
        if isinstance(value, Path):
            changes[name] = base / value
        elif isinstance(value, tuple) and value and isinstance(value[0], Path):
            changes[name] = tuple(base / path for path in value)
    return msgspec.structs.replace(settings, **changes)
