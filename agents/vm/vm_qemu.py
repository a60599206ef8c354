"""Qemu: run guests by qemu itself, where there is no libvirt."""

import contextlib
import json
import os
import platform
import shutil
import signal
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vm_commands import run
from vm_guests import CONSOLE, Guest
from vm_volumes import Volume

PID = "qemu.pid"
CONTROL = "qmp"  #: the socket that takes commands
CONTROL_S = 5.0  #: seconds that qemu has to answer
PROCESSORS = {"tcg": "qemu64", "kvm": "host"}  #: what suits each accelerator
SANDBOX = "on,obsolete=deny,resourcecontrol=deny"  #: to deny more, it must not fork itself


@dataclass(frozen=True, slots=True)
class Qemu:
    """Processes of qemu, each the leader of a session of its own, under nobody."""

    accelerator: str

    name = "qemu"

    def trouble(self) -> str:
        """Why it cannot be had; empty if it can."""
        if platform.machine() != "x86_64":
            return f"qemu is driven on x86_64 only, and this is {platform.machine()}"
        return "" if shutil.which(_program()) else f"there is no {_program()}"

    def start(self, guest: Guest, volume: Volume) -> None:
        """Have it run; on return its devices are there. Raises Fail with qemu's words."""
        for name in (PID, CONTROL):
            (guest.directory / name).unlink(missing_ok=True)
        # paths within the directory are relative: the name of a socket has 107 bytes at most
        run(_program(), *self._words(guest, volume), cwd=str(guest.directory))

    def pid(self, guest: Guest) -> int | None:
        """The process that runs it; None if none does.

        It is known by the guest's uuid in its command line: that names it for good, and also if
        we were killed before we could remember it.
        """
        try:
            pid = int((guest.directory / PID).read_text())
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return None
        return pid if guest.uuid.encode() in words else None

    def is_running(self, guest: Guest) -> bool:
        """Whether it runs."""
        return self.pid(guest) is not None

    def press_power(self, guest: Guest) -> None:
        """Ask it to shut down, as its power button does."""
        with contextlib.suppress(OSError, ValueError):  # it may be ending already, or hang
            _command(guest, "system_powerdown")

    def kill(self, guest: Guest, *, hard: bool) -> None:
        """End it: softly qemu still writes what it holds, hard it does not."""
        pid = self.pid(guest)
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(pid)  # from now on this process and no later one
            try:
                if self.pid(guest) == pid:
                    number = signal.SIGKILL if hard else signal.SIGTERM
                    signal.pidfd_send_signal(descriptor, number)
            finally:
                os.close(descriptor)

    def _words(self, guest: Guest, volume: Volume) -> list[str]:
        config = guest.config
        machine = f"type=pc,accel={self.accelerator}"
        words = ["-name", guest.name, "-uuid", guest.uuid, "-machine", machine]
        words += ["-cpu", PROCESSORS[self.accelerator], "-smp", str(config["cpus"])]
        words += ["-m", f"{config['memory_mib']}M", "-nodefaults", "-no-user-config"]
        words += ["-display", "none", "-sandbox", SANDBOX, "-daemonize", "-pidfile", PID]
        words += ["-chardev", f"file,id=console,path={CONSOLE}", "-serial", "chardev:console"]
        words += ["-qmp", f"unix:{CONTROL},server=on,wait=off"]
        words += ["-blockdev", json.dumps(_disk(volume)), "-device", "virtio-blk-pci,drive=disk"]
        words += ["-object", "rng-random,id=rng,filename=/dev/urandom"]
        words += ["-device", "virtio-rng-pci,rng=rng"]
        for name in ("kernel", "initrd", "append"):
            if config[name]:
                words += [f"-{name}", config[name]]
        if config["network"] == "user":
            words += ["-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net"]
        return words


def _program() -> str:
    return "qemu-system-x86_64"


def _disk(volume: Volume) -> dict[str, Any]:
    """As JSON: no character of a path can be taken for an option, and no format is guessed."""
    file = {"driver": "file", "filename": str(volume.disk)}
    return {"driver": volume.format, "node-name": "disk", "file": file}


def _command(guest: Guest, name: str) -> None:
    """One command by qemu's machine protocol, QMP. Raises OSError or ValueError."""
    directory = os.open(guest.directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(CONTROL_S)
            control.connect(f"/proc/self/fd/{directory}/{CONTROL}")
            with control.makefile("rw") as stream:
                stream.readline()  # the greeting
                for command in ("qmp_capabilities", name):
                    stream.write(json.dumps({"execute": command}) + "\n")
                    stream.flush()
                    while not {"return", "error"} & set(json.loads(stream.readline())):
                        pass  # an event
    finally:
        os.close(directory)
