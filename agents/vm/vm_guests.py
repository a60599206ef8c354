"""Guests: what a virtual machine is made of, kept in a directory for each."""

import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vm_records import RECORD, claimed, have, locked, making, read, remove, write

from fleetjobs.agent import INVALID_DATA, Fail

SPARE = 64  #: MiB; less than this no guest boots in, and no node can spare
RUN = "run.json"  #: who runs it, since when, and for which job
CONSOLE = "console.log"
MOST_CONSOLE = 4096  #: bytes of the console that are told


@dataclass(frozen=True, slots=True)
class Guest:
    """A configured guest, and what is remembered of it."""

    directory: Path
    record: dict[str, Any]

    @property
    def name(self) -> str:
        """As everybody calls it."""
        return self.directory.name

    @property
    def config(self) -> dict[str, Any]:
        """What it is made of: volume, memory_mib, cpus, kernel, initrd, append, network."""
        return dict(self.record["config"])

    @property
    def uuid(self) -> str:
        """What tells it from all others, also in the command line of whatever runs it."""
        return str(self.record["uuid"])

    @property
    def console_log(self) -> Path:
        """What it said on its serial line since its last start."""
        return self.directory / CONSOLE

    def console(self) -> str:
        """The end of what it said."""
        try:
            with self.console_log.open("rb") as file:
                file.seek(max(os.fstat(file.fileno()).st_size - MOST_CONSOLE, 0))
                text = file.read(MOST_CONSOLE).decode(errors="replace")
        except FileNotFoundError:
            return ""
        return text.replace("\r\n", "\n").replace("\0", "")

    def has_said(self, text: str) -> bool:
        """Whether its console shows that text."""
        try:
            said = self.console_log.read_bytes()
        except FileNotFoundError:
            return False
        return text.encode() in said

    def run(self) -> dict[str, Any]:
        """How it was started last: provider, accelerator, started_at, job; empty if it was not."""
        try:
            return read(self.directory, RUN) or {}
        except Fail:
            return {}

    def remember_run(self, run: Mapping[str, Any]) -> None:
        """Keep how it was started."""
        write(self.directory / RUN, run)


@dataclass(frozen=True, slots=True)
class Guests:
    """The guests of the node."""

    root: Path

    def find(self, name: str) -> Guest | None:
        """The guest of that name."""
        record = read(self.root / name)
        return Guest(self.root / name, record) if record else None

    def get(self, name: str) -> Guest:
        """The guest of that name. Raises Fail if there is none."""
        found = self.find(name)
        if found is None:
            raise Fail(f"there is no guest {name}; make_config makes one", INVALID_DATA)
        return found

    def using(self, volume: str) -> list[Guest]:
        """The guests that have that volume."""
        found = (self.find(path.name) for path in sorted(self.root.glob("[!.]*")))
        return [guest for guest in found if guest and guest.config["volume"] == volume]

    def make(self, name: str, config: Mapping[str, Any], job: str) -> Guest:
        """Configure a guest, or find it configured. Raises Fail if it is configured otherwise."""
        with locked(have(self.root)):
            found = self.find(name)
            if found:
                other = [key for key, value in config.items() if found.config[key] != value]
                if not other:
                    return found
                raise Fail(
                    f"there is a guest {name} already, with another {', '.join(other)}",
                    INVALID_DATA,
                )
            with making(self.root / name) as aside:
                record = {"uuid": str(uuid.uuid4()), "config": dict(config), "job": job}
                write(aside / RECORD, record)
        return self.get(name)

    def remove(self, guest: Guest) -> None:
        """Forget a guest and what it said. Raises Fail if somebody works on it."""
        with locked(self.root), claimed(guest.directory):
            remove(guest.directory)


def check_memory(mib: int, meminfo: Path = Path("/proc/meminfo")) -> None:
    """Let a size of memory pass that this machine has. Raises Fail."""
    total = int(meminfo.read_text().split()[1]) // 1024  # MemTotal is the first line, proc(5)
    if not SPARE <= mib <= total - SPARE:
        raise Fail(
            f"memory_mib is {mib}; {SPARE} to {total - SPARE} are possible here", INVALID_DATA
        )


def check_cpus(cpus: int) -> None:
    """Let a number of processors pass that this machine has. Raises Fail."""
    most = os.cpu_count() or 1
    if not 1 <= cpus <= most:
        raise Fail(f"cpus is {cpus}; 1 to {most} are possible here", INVALID_DATA)
