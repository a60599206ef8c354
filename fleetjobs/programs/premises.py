"""Premises: the directory in which `up` keeps a fleet, and what it writes there.

Keys, policy, facts and classes are written once and are the owner's from then on; addresses and
places of keys are written into settings files at every start, because they may change; whatever
else the owner sets in those of server and coordinator stays.
"""

import contextlib
import json
import secrets
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleetjobs.nodes import CONTROLLER
from fleetjobs.programs.places import CONTROLLER_AGENTS
from fleetjobs.signing import COORDINATOR, SERVER, SigningKey, account_key_id, node_key_id

ACCOUNT = "admin"  #: the account that `up` makes for its owner
ORG = "default"
MAINTENANCE = "maintenance"  #: the account in whose name a fleet looks after itself
PARTS = (  # what each node is, in turn: classes and facts that differ, so that targets can be tried
    ("web", "frankfurt"),
    ("web", "prague"),
    ("database", "prague"),
    ("cache", "frankfurt"),
    ("build", "rome"),
)
RINGS = ("canary", "first", "rest")  #: in which nodes are updated; all after the second are rest
LOOK_AFTER_ITSELF = f"""\
[[rules]] # whoever the server knows may look
effect = "allow"
callers = ["*"]
agents = ["rpcutil", "system"]
actions = ["*"]

[[rules]] # the fleet looks after itself
effect = "allow"
callers = ["{MAINTENANCE}"]
agents = ["fleet"]
actions = ["*"]

[[rules]] # and sees what could be updated
effect = "allow"
callers = ["{MAINTENANCE}"]
agents = ["package"]
actions = ["checkupdates"]
"""
POLICY = f"""\
# What a node of this fleet allows; what no rule allows is denied.
# Rules are asked in order, the first that fits decides. Read again when changed.

{LOOK_AFTER_ITSELF}
[[rules]] # the owner of this fleet may do everything its agents offer
effect = "allow"
callers = ["{ACCOUNT}"]
agents = ["*"]
actions = ["*"]
"""


@dataclass(frozen=True, slots=True)
class Premises:
    """What lies where."""

    root: Path

    @property
    def lock(self) -> Path:
        """Held while any process of the fleet lives."""
        return self.root / "lock"

    @property
    def broker(self) -> Path:
        """The embedded broker's files."""
        return self.root / "broker"

    @property
    def database_url(self) -> str:
        """The embedded database."""
        return f"sqlite:///{self.root / 'fleetjobs.sqlite'}"

    @property
    def client(self) -> Path:
        """The profile that the command line reads."""
        return self.root / "client.toml"

    @property
    def account_key(self) -> Path:
        """What the owner signs requests with."""
        return self.root / "keys" / f"{ACCOUNT}.pem"

    def key(self, name: str) -> Path:
        """The private key of a program."""
        return self.root / "keys" / f"{name}.pem"

    def log(self, name: str) -> Path:
        """Where a program's log goes."""
        return self.root / "logs" / f"{name}.log"

    def node(self, identity: str) -> Path:
        """All that belongs to one node."""
        return self.root / "nodes" / identity

    def node_settings(self, identity: str) -> Path:
        """The settings file of one node."""
        return self.node(identity) / "node.toml"

    def settings(self, program: str) -> Path:
        """The settings file of the server or the coordinator."""
        return self.root / f"{program}.toml"


def default_state(environment: Mapping[str, str]) -> Path:
    """Where a person's own fleet lives; the command line looks for its profile there."""
    home = Path(environment.get("HOME") or Path.home())
    return Path(environment.get("XDG_DATA_HOME") or home / ".local/share") / "fleetjobs"


def identities(count: int) -> list[str]:
    """The names of that many nodes."""
    return [f"node{number}" for number in range(1, count + 1)]


def prepare(premises: Premises, nodes: Sequence[str]) -> None:
    """Make directories, keys, the trust store, the policy, and what each node is; once."""
    premises.root.mkdir(parents=True, exist_ok=True)
    premises.root.chmod(0o700)  # keys, a token, requests; no umask, which actions would inherit
    for directory in ("agents", "broker", "keys", "logs", "nodes", "trust"):
        (premises.root / directory).mkdir(mode=0o700, exist_ok=True)
    trusted = {
        COORDINATOR: premises.key(COORDINATOR),
        SERVER: premises.key(SERVER),
        account_key_id(ACCOUNT): premises.account_key,
    }
    for key_id, path in trusted.items():
        key = own_key(key_id, path)
        (premises.root / "trust" / f"{key_id}.pub").write_text(key.verify_key.text + "\n")
    _write_once(premises.root / "policy.toml", POLICY)
    for number, identity in enumerate(nodes):
        _prepare_node(premises.node(identity), identity, number)
    prepare_controller(premises)


def own_key(key_id: str, path: Path) -> SigningKey:
    """The key in the file, generated if there is none."""
    with contextlib.suppress(FileExistsError):
        SigningKey.generate(key_id).save(path)
    return SigningKey.load(key_id, path)


def _prepare_node(directory: Path, identity: str, number: int) -> None:
    part, site = PARTS[number % len(PARTS)]
    (directory / "facts.d").mkdir(parents=True, exist_ok=True)
    own_key(node_key_id(identity), directory / "key.pem")
    ring = RINGS[min(number, len(RINGS) - 1)]
    facts = {"role": part, "site": site, "rack": number + 1}
    _write_once(directory / "facts.d" / "site.json", json.dumps(facts, indent=2) + "\n")
    _write_once(directory / "facts.d" / "ring.json", json.dumps({"ring": ring}) + "\n")
    _write_once(directory / "classes", f"linux\n{part}\n")


def prepare_controller(premises: Premises) -> None:
    """Make the server's own node: it finds the server's settings, and so the database."""
    directory = premises.node(CONTROLLER)
    (directory / "facts.d").mkdir(parents=True, exist_ok=True)
    (directory / "environment").mkdir(exist_ok=True)
    own_key(node_key_id(CONTROLLER), directory / "key.pem")
    _write_once(directory / "classes", "controller\n")
    settings = f"FLEETJOBS_SERVER_CONFIG={premises.settings('server')}\n"
    (directory / "environment" / "fleet").write_text(settings)


def write_settings(
    premises: Premises, nodes: Sequence[str], *, broker: str, database: str, port: int
) -> None:
    """Tell each program where the others are."""
    _write_toml(
        premises.settings("server"),
        **_kept(premises.settings("server")),
        database=database,
        key=str(premises.key(SERVER)),
        host="127.0.0.1",
        port=port,
    )
    _write_toml(
        premises.settings("coordinator"),
        **_kept(premises.settings("coordinator")),
        broker=broker,
        database=database,
        key=str(premises.key(COORDINATOR)),
        server_key=str(premises.key(SERVER)),
    )
    for identity in (*nodes, CONTROLLER):
        agents = ["../../agents"]  # the owner's own, for all nodes
        _write_toml(
            premises.node_settings(identity),
            identity=identity,
            broker=broker,
            state=".",
            key="key.pem",
            trust="../../trust",
            policy="../../policy.toml",
            agents=[*agents, str(CONTROLLER_AGENTS)] if identity == CONTROLLER else agents,
            facts=["facts.d"],
            classes="classes",
        )


def _kept(path: Path) -> dict[str, Any]:
    """What the owner has set in a file beside what is written at every start."""
    try:
        found = tomllib.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return {name: value for name, value in found.items() if name not in _WRITTEN}


_WRITTEN = frozenset({"broker", "database", "key", "server_key", "host", "port"})


def write_profile(premises: Premises, *, port: int, token: str) -> None:
    """What `fj` needs to ask this fleet; for its owner's eyes only, as all files here."""
    _write_toml(
        premises.client,
        url=f"http://127.0.0.1:{port}",
        token=token,
        account=ACCOUNT,
        org=ORG,
        key=f"keys/{ACCOUNT}.pem",
    )


def toml(**values: Any) -> str:
    """Plain settings; JSON's texts, numbers and lists are also TOML's."""
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())


def _write_toml(path: Path, **values: Any) -> None:
    """Replace a file of plain settings."""
    text = toml(**values)
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    new.touch(mode=0o600)
    new.write_text(text)
    new.replace(path)  # a reader sees the old file or the new one


def _write_once(path: Path, text: str) -> None:
    if not path.exists():
        path.write_text(text)
