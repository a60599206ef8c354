"""Libvirt: run guests by libvirt, driven by virsh, where it is there and works."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from vm_commands import Refused, run
from vm_guests import Guest
from vm_volumes import Volume

from fleetjobs.agent import Fail

PREFIX = "fleetjobs-"  #: of a domain's name: others on this node are none of our business
ANSWER_S = 60.0  #: seconds that libvirt has to answer
TYPES = {"tcg": "qemu", "kvm": "kvm"}  #: its words for accelerators
PIDS = Path("/run/libvirt/qemu")


@dataclass(frozen=True, slots=True)
class Libvirt:
    """Domains of libvirt that are gone when they end: what a guest is, our records say."""

    uri: str
    accelerator: str

    name = "libvirt"

    def trouble(self) -> str:
        """Why it cannot be had; empty if it can: it is asked for what the guests will need."""
        if not shutil.which("virsh"):
            return "there is no virsh"
        try:
            self._virsh("domcapabilities", "--virttype", TYPES[self.accelerator])
        except Fail as fail:
            return str(fail)
        return ""

    def start(self, guest: Guest, volume: Volume) -> None:
        """Have it run. Raises Fail with libvirt's words."""
        guest.console_log.unlink(missing_ok=True)
        with tempfile.NamedTemporaryFile(suffix=".xml") as file:
            file.write(ET.tostring(self.domain(guest, volume)))
            file.flush()
            self._virsh("create", "--file", file.name)

    def pid(self, guest: Guest) -> int | None:
        """The process that runs it; None if none does, or libvirt does not say."""
        try:
            return int((PIDS / f"{PREFIX}{guest.name}.pid").read_text())
        except (OSError, ValueError):
            return None

    def is_running(self, guest: Guest) -> bool:
        """Whether it runs. Raises Fail if libvirt does not answer."""
        return guest.uuid in self._virsh("list", "--uuid").split()

    def press_power(self, guest: Guest) -> None:
        """Ask it to shut down, as its power button does."""
        self._unless_gone(guest, "shutdown", "--mode", "acpi")

    def kill(self, guest: Guest, *, hard: bool) -> None:
        """End it: softly it is given time to write what it holds, hard it is not."""
        self._unless_gone(guest, "destroy", *([] if hard else ["--graceful"]))

    def domain(self, guest: Guest, volume: Volume) -> ET.Element:
        """The guest in libvirt's words."""
        config = guest.config
        domain = ET.Element("domain", type=TYPES[self.accelerator])
        _add(domain, "name", f"{PREFIX}{guest.name}")
        _add(domain, "uuid", guest.uuid)
        _add(domain, "memory", str(config["memory_mib"]), unit="MiB")
        _add(domain, "vcpu", str(config["cpus"]))
        system = _add(domain, "os")
        _add(system, "type", "hvm", arch="x86_64", machine="pc")
        for name, word in (("kernel", "kernel"), ("initrd", "initrd"), ("append", "cmdline")):
            if config[name]:
                _add(system, word, config[name])
        _add(_add(domain, "features"), "acpi")
        _add(domain, "on_poweroff", "destroy")
        devices = _add(domain, "devices")
        disk = _add(devices, "disk", type="file", device="disk")
        _add(disk, "driver", name="qemu", type=volume.format)
        _add(disk, "source", file=str(volume.disk))
        _add(disk, "target", dev="vda", bus="virtio")
        serial = _add(devices, "serial", type="file")
        _add(serial, "source", path=str(guest.console_log))
        _add(serial, "target", port="0")
        _add(_add(devices, "rng", model="virtio"), "backend", "/dev/urandom", model="random")
        if config["network"] == "user":
            _add(_add(devices, "interface", type="user"), "model", type="virtio")
        return domain

    def _unless_gone(self, guest: Guest, verb: str, *more: str) -> None:
        try:
            self._virsh(verb, guest.uuid, *more)
        except Refused:
            if self.is_running(guest):
                raise

    def _virsh(self, *words: str) -> str:
        return run("virsh", "--quiet", "-c", self.uri, *words, timeout_s=ANSWER_S)


def _add(parent: ET.Element, tag: str, text: str | None = None, **attributes: str) -> ET.Element:
    child = ET.SubElement(parent, tag, attributes)
    child.text = text
    return child
