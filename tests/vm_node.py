"""A node with virtual machines: the vm agent on a directory of its own, ended with all guests."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.agent_programs import PATH, ROOT, Called, call
from tests.guest import GuestFiles

AGENT = ROOT / "agents" / "vm"
APPEND = "console=ttyS0 quiet panic=-1"  #: what every guest of a test is booted with


@dataclass(frozen=True)
class VmNode:
    """The agent's state, its images, and ways to call it."""

    place: Path

    @property
    def images(self) -> Path:
        """Where images have to lie."""
        return self.place / "images"

    @property
    def state(self) -> Path:
        """Where the agent keeps everything."""
        return self.place / "vm"

    def configure(self, **settings: Any) -> None:
        """Write the agent's settings."""
        usual = {"state": str(self.state), "images": [str(self.images)], "provider": "qemu"}
        (self.place / "vm.json").write_text(json.dumps({**usual, **settings}))

    def call(self, action: str, *, path: str = PATH, job: str = "j1", **data: Any) -> Called:
        """Call an action, as that job."""
        env = {"FLEETJOBS_VM_CONFIG": str(self.place / "vm.json"), "PATH": path}
        return call(AGENT, self.place / "work", action, data, env=env, job=job)

    def do(self, action: str, **data: Any) -> dict[str, Any]:
        """Call what has to go well; the data of its reply."""
        done = self.call(action, **data)
        assert done.reply is not None, done.stderr
        assert done.reply["statuscode"] == 0, (done.reply, done.stderr)
        return done.data

    def fail(self, action: str, **data: Any) -> tuple[int, str]:
        """Call what has to go wrong; the status and the message."""
        done = self.call(action, **data)
        assert done.reply is not None, done.stderr
        assert done.reply["statuscode"] != 0, done.reply
        return done.reply["statuscode"], done.reply["statusmsg"]

    def left(self) -> list[str]:
        """Everything that is kept, as paths."""
        if not self.state.exists():
            return []
        return sorted(str(path.relative_to(self.state)) for path in self.state.glob("*/*"))

    def build(self, name: str, files: GuestFiles, image: Path, *, then: str) -> None:
        """Make all that a guest needs to be started."""
        self.do("make_volume", name=name, size_mib=8)
        self.do(
            "make_config",
            name=name,
            volume=name,
            memory_mib=96,
            kernel=str(files.kernel),
            initrd=str(files.initrd),
            append=f"{APPEND} guest={name} then={then}",
        )
        self.do("write_image", volume=name, image=str(image))


@contextmanager
def vm_node(place: Path) -> Iterator[VmNode]:
    """A node without machines; at its end none of them runs any more."""
    node = VmNode(place)
    node.images.mkdir(parents=True)
    node.configure()
    try:
        yield node
    finally:
        for pid in guest_pids(node.state):
            os.kill(pid, signal.SIGKILL)


def guest_pids(state: Path) -> list[int]:
    """The processes that run guests of that state directory: they work in a directory of it."""
    found = []
    for path in state.glob("guests/*/qemu.pid"):
        try:
            pid = int(path.read_text())
            there = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            continue
        if str(state).encode() in there:
            found.append(pid)
    return found
