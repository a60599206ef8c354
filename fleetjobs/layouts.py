"""Layouts: how agents lie on disk, ours and those of Choria and MCollective.

Ours is a directory `web/` with `web.json` and beside it `web.py` or an executable `web`. Choria's
lies as that or flat: `web.json` beside an executable `web`, or beside `web/web-linux_amd64`.
MCollective's is `web.ddl` (or a JSON twin `web.json`) and `web.rb`, which names the scripts.
"""

import json
import os
import platform
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fleetjobs.ddl.reading import read_ddl, read_scripts
from fleetjobs.dialects import Provider
from fleetjobs.errors import InvalidInterface, is_shortage
from fleetjobs.interfaces import Interface, read_interface
from fleetjobs.signatures import mismatches, read_source

RESERVED = frozenset(
    {"rpcutil", "choria_util", "choria_provision", "choria_registry", "discovery", "scout"}
)  #: names that Choria lets no external agent have
LIMIT_BYTES = 4 * 1024 * 1024  #: of an interface; it travels with beats
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "i686": "386", "armv7l": "arm"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """An agent that can be called: its interface, and what is behind it, exactly one of three."""

    name: str
    interface: Interface
    directory: Path  # where its interface lies
    program: Path | None = None  # an executable
    module: Path | None = None  # a Python file
    scripts: Mapping[str, str] = field(default_factory=dict)  # by action, as MCollective names them
    activates: bool = False  # a Python agent that wants to be asked whether it can be here

    @property
    def provider(self) -> str:
        """By which contract it is called."""
        return self.interface.provider

    @property
    def is_asked(self) -> bool:
        """Whether it has to be asked if it wants to be on a machine."""
        return self.activates or self.provider == Provider.EXTERNAL

    def script(self, action: str) -> Path:
        """The script behind an action. Raises InvalidInterface, naming where it was looked for."""
        named = self.scripts[action]
        looked = [
            self.directory / self.name / named,  # an absolute path stands for itself
            self.directory.parent.parent / "agent" / self.name / named,
            *([self.directory / named] if self.directory.name == self.name else []),
        ]
        for path in looked:
            if _is_executable(path):
                return path
        places = ", ".join(dict.fromkeys(map(str, looked)))
        raise InvalidInterface(f"{self.name}.{action}: no executable {named!r:.200}; not {places}")


@dataclass(frozen=True, slots=True)
class Place:
    """Where an agent may lie."""

    name: str
    directory: Path  # of its interface
    is_foreign: bool  # in a libdir of Choria's or MCollective's

    @property
    def documents(self) -> tuple[Path, Path]:
        """Its interface: as JSON, which wins, and in Ruby."""
        return self.directory / f"{self.name}.json", self.directory / f"{self.name}.ddl"

    @property
    def program(self) -> Path:
        """An executable of its name; a directory, where there is one for each platform."""
        return self.directory / self.name

    @property
    def platform_program(self) -> Path:
        """The executable for this machine, as Go calls it."""
        return self.program / f"{self.name}-{goos()}_{goarch()}"

    def stamp(self) -> "Stamp":
        """Changes when one of its files does."""
        code = [self.directory / f"{self.name}{suffix}" for suffix in (".rb", ".py")]
        return tuple(map(_seen, [*self.documents, *code, self.program, self.platform_program]))

    def rested_since(self) -> float:
        """When its interface was last written, in seconds since 1970; 0 if there is none."""
        return max((_seen(path)[0] for path in self.documents), default=0) / 1e9

    def read(self) -> Agent:
        """The agent there. Raises InvalidInterface and says why it is none."""
        document = self._document()
        interface = read_interface(document)
        if interface.name != self.name:
            raise InvalidInterface(f"{self.name}: its metadata names it {interface.name!r}")
        match interface.provider:
            case Provider.FLEETJOBS:
                return self._own(interface)
            case Provider.EXTERNAL:
                return self._external(interface)
            case Provider.IMPLEMENTED_BY:
                return self._implemented_by(interface)
        raise InvalidInterface(f"{self.name}: provider {interface.provider!r:.70} is not known")

    def _document(self) -> dict[str, Any]:
        written, ruby = self.documents
        if not written.exists() and ruby.exists():
            return read_ddl(_text(ruby), ruby.name)
        try:
            document = json.loads(_text(written))
        except (ValueError, RecursionError) as error:
            raise InvalidInterface(f"{written.name}: not JSON: {error}") from None
        if not isinstance(document, dict):
            raise InvalidInterface(f"{written.name}: an interface is a JSON object")
        if (self.is_foreign or ruby.exists()) and self._is_rubys(document):
            document["metadata"]["provider"] = Provider.IMPLEMENTED_BY.value
        return document

    def _is_rubys(self, document: dict[str, Any]) -> bool:
        """Whether it is the twin of a Ruby agent: those name no provider, or `ruby`."""
        metadata = document.get("metadata")
        if not isinstance(metadata, dict) or metadata.get("provider", "ruby") not in ("ruby", ""):
            return False
        return (self.directory / f"{self.name}.rb").exists()

    def _own(self, interface: Interface) -> Agent:
        if self.directory.name != self.name:
            raise InvalidInterface(f"{self.name}: has to lie in a directory {self.name}/")
        module = self.directory / f"{self.name}.py"
        has_program = _is_executable(self.program)
        if module.is_file() == has_program:
            either = f"{module.name} or an executable {self.name}"
            raise InvalidInterface(
                f"there must be either {either}, not {'both' * has_program or 'none'}"
            )
        source = None if has_program else read_source(_source(module))
        wrong = mismatches(source, interface) if source else []
        if wrong:
            raise InvalidInterface(f"{module.name} does not fit its interface: {'; '.join(wrong)}")
        return Agent(
            name=self.name,
            interface=interface,
            directory=self.directory,
            program=self.program if has_program else None,
            module=None if has_program else module,
            activates=source is not None and source.activates,
        )

    def _external(self, interface: Interface) -> Agent:
        if self.name in RESERVED:
            raise InvalidInterface(f"{self.name} is a name that Choria keeps for itself")
        for program in (self.program, self.platform_program):
            if _is_executable(program):
                return Agent(
                    name=self.name,
                    interface=interface,
                    directory=self.directory,
                    program=program,
                )
        either = f"{self.name} or {self.name}/{self.platform_program.name}"
        raise InvalidInterface(f"there is no executable {either} beside {self.name}.json")

    def _implemented_by(self, interface: Interface) -> Agent:
        """Of the actions, those that a script serves; the others are Ruby code."""
        ours = interface.document.get("fleetjobs", {}).get("actions", {})
        scripts = {
            name: traits["implemented_by"]
            for name, traits in ours.items()
            if traits.get("implemented_by")
        }
        ruby = self.directory / f"{self.name}.rb"
        if ruby.exists():
            scripts = {**read_scripts(_text(ruby)), **scripts}
        served = {name: scripts[name] for name in interface.actions if name in scripts}
        if not served:
            raise InvalidInterface(
                f"{self.name}: none of its actions is `implemented_by` a script;"
                " actions that are Ruby code cannot be run here"
            )
        return Agent(
            name=self.name,
            interface=_without(interface, set(interface.actions) - set(served)),
            directory=self.directory,
            scripts=served,
        )


Stamp = tuple[tuple[int, int, int, int], ...]  #: of the files of an agent


def own_places(directory: Path) -> Iterator[Place]:
    """Where agents may lie in a directory of agents: a directory each, or flat."""
    names = _names(directory)
    flat = _flat(names)
    for name in names:
        path = directory / name
        if name.startswith((".", "_")) or name == "tmp" or not path.is_dir():
            continue
        if name not in flat or (path / f"{name}.json").exists():
            yield Place(name, path, is_foreign=False)
            flat.discard(name)
    for name in sorted(flat):
        yield Place(name, directory, is_foreign=False)


def foreign_places(libdir: Path) -> Iterator[Place]:
    """Where agents may lie in a libdir; other directories there hold what belongs to agents."""
    directory = libdir / "mcollective" / "agent"
    names = _names(directory)
    flat = _flat(names)
    for name in names:
        if name != "tmp" and (directory / name / f"{name}.json").exists():
            yield Place(name, directory / name, is_foreign=True)
            flat.discard(name)
    for name in sorted(flat):
        yield Place(name, directory, is_foreign=True)


def goos() -> str:
    """The operating system, as Go calls it."""
    return platform.system().lower()


def goarch() -> str:
    """The kind of processor, as Go calls it."""
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, machine)


def _names(directory: Path) -> list[str]:
    try:
        return sorted(os.listdir(directory))  # noqa: PTH208  each run looks: Path costs
    except OSError as error:  # not there, or not yet
        if is_shortage(error):
            raise
        return []


def _flat(names: list[str]) -> set[str]:
    """The agents whose interface lies here, and not in a directory of theirs."""
    split = (name.rpartition(".") for name in names)
    return {stem for stem, _, suffix in split if suffix in {"json", "ddl"} and stem[:1] not in "._"}


def _without(interface: Interface, left_out: set[str]) -> Interface:
    """The interface without these actions, so that nobody asks for them."""
    if not left_out:
        return interface
    document = dict(interface.document)
    document["actions"] = [a for a in document["actions"] if a["action"] not in left_out]
    ours = document.get("fleetjobs", {}).get("actions", {})
    if ours:
        kept = {name: traits for name, traits in ours.items() if name not in left_out}
        document["fleetjobs"] = {**document["fleetjobs"], "actions": kept}
    return read_interface(document)


def _seen(path: Path) -> tuple[int, int, int, int]:
    try:
        status = path.stat()
    except OSError:
        return 0, 0, 0, 0
    if stat.S_ISDIR(status.st_mode):  # changes with whatever lies in it
        return 1, 0, 0, 0
    return status.st_mtime_ns, status.st_size, status.st_ino, status.st_mode


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > LIMIT_BYTES:
            raise InvalidInterface(f"{path.name}: longer than {LIMIT_BYTES} bytes")
        return path.read_bytes().decode()
    except OSError as error:
        if is_shortage(error):
            raise
        raise InvalidInterface(f"{path.name}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidInterface(f"{path.name}: is not text in UTF-8") from None


def _is_executable(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) and os.access(path, os.X_OK)


def _source(module: Path) -> str:
    """The text of a Python file; empty if it cannot be read: loading it will tell."""
    try:
        return module.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
