"""VM fleet: nodes of one machine that each have volumes, images and guests of their own."""

import os
import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.agent_programs import PATH
from tests.guest import GuestFiles, make_image
from tests.vm_node import APPEND, VmNode, guest_pids

MEMORY_MIB = 96  #: what the guest of the tests needs


@dataclass(frozen=True)
class VmFleet:
    """The machines of each node of a fleet that keeps its state in `state`."""

    state: Path
    images: Path
    nodes: dict[str, VmNode]

    def params(self, name: str, files: GuestFiles, **other: object) -> dict[str, object]:
        """Parameters of the plan that builds a guest of that name, as the tests have it."""
        return {
            "name": name,
            "image": str(self.images / "line.img"),
            "size_mib": 8,
            "memory_mib": MEMORY_MIB,
            "kernel": str(self.images / files.kernel.name),
            "initrd": str(self.images / files.initrd.name),
            "append": f"{APPEND} guest={name} then=wait",
            "expect": f"{name} reads: the image",
            **other,
        }

    def left(self) -> dict[str, list[str]]:
        """Volumes and guests that each node still has."""
        return {identity: node.left() for identity, node in self.nodes.items()}

    def running(self) -> dict[str, list[int]]:
        """The processes of each node's guests."""
        return {identity: guest_pids(node.state) for identity, node in self.nodes.items()}

    def take_qemu_away(self, identity: str) -> None:
        """Have that node's agent find everything but qemu itself."""
        tools = self.nodes[identity].place / "bin"
        tools.mkdir()
        for tool in ("qemu-img", "env"):
            (tools / tool).symlink_to(str(shutil.which(tool, path=PATH)))
        with self._environment(identity).open("a") as file:
            file.write(f"PATH={tools}\n")

    def _environment(self, identity: str) -> Path:
        return self.state / "nodes" / identity / "environment" / "vm"

    def prepare(self, identity: str, node: VmNode) -> None:
        """Tell the node, that `up` will start, where its machines are."""
        node.place.mkdir(parents=True)
        node.configure(images=[str(self.images)])
        path = self._environment(identity)
        path.parent.mkdir(parents=True)
        path.write_text(f"FLEETJOBS_VM_CONFIG={node.place / 'vm.json'}\n")


@contextmanager
def vm_fleet(place: Path, identities: Sequence[str], files: GuestFiles) -> Iterator[VmFleet]:
    """A fleet without machines; at its end none of them runs any more."""
    images = place / "images"
    images.mkdir(parents=True)
    for path in (files.kernel, files.initrd):
        shutil.copy(path, images)
    make_image(images / "line.img", "the image")
    nodes = {identity: VmNode(place / "machines" / identity) for identity in identities}
    fleet = VmFleet(place / "state", images, nodes)
    for identity, node in nodes.items():
        fleet.prepare(identity, node)
    try:
        yield fleet
    finally:
        for pids in fleet.running().values():
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
