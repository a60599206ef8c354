"""Hosts: what runs guests on this node, chosen by trial."""

import time
from datetime import UTC, datetime

from vm_guests import Guest
from vm_libvirt import Libvirt
from vm_qemu import Qemu
from vm_records import claimed
from vm_settings import Settings
from vm_volumes import Volume

from fleetjobs.agent import Fail

Host = Libvirt | Qemu
LOOK_S = 0.1  #: seconds between two looks at a guest
APPEAR_S = 2.0  #: seconds until a guest shows up whose start was called off
KILL_S = 10.0  #: seconds that a guest may take to end when it is killed softly


def host_of(guest: Guest, settings: Settings) -> Host | None:
    """What runs a guest; None if it does not run."""
    host = _known_host(str(guest.run().get("provider", Qemu.name)), settings)
    return host if host.is_running(guest) else None


def choose_host(settings: Settings) -> Host:
    """What is to run the next guest. Raises Fail with what is wrong with each."""
    names = [Libvirt.name, Qemu.name] if settings.provider == "auto" else [settings.provider]
    troubles = []
    for host in (_known_host(name, settings) for name in names):
        trouble = host.trouble()
        if not trouble:
            return host
        troubles.append(f"{host.name}: {trouble}")
    raise Fail(f"nothing here runs guests: {'; '.join(troubles)}")


def _known_host(name: str, settings: Settings) -> Host:
    if name == Libvirt.name:
        return Libvirt(settings.libvirt, settings.accelerator)
    return Qemu(settings.accelerator)


def start(guest: Guest, volume: Volume, settings: Settings, job: str) -> Host:
    """Have the guest run, whoever started it. Raises Fail; it does not run then."""
    with claimed(guest.directory):
        host = host_of(guest, settings)
        if host:
            return host
        host = choose_host(settings)
        guest.remember_run(
            {
                "provider": host.name,
                "accelerator": settings.accelerator,
                "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
                "job": job,
            }
        )
        try:
            host.start(guest, volume)
        except Fail:
            host.kill(guest, hard=True)
            raise
        except BaseException:  # SIGTERM: qemu may have left us, and not have said where it is
            _wait_for_it(guest, host)
            host.kill(guest, hard=True)
            raise
    return host


def _wait_for_it(guest: Guest, host: Host) -> None:
    deadline = time.monotonic() + APPEAR_S
    while not host.is_running(guest) and time.monotonic() < deadline:
        time.sleep(LOOK_S)


def has_ended(guest: Guest, host: Host, within_s: float) -> bool:
    """Whether it ends within so many seconds."""
    deadline = time.monotonic() + within_s
    while host.is_running(guest):
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_S)
    return True


def kill(guest: Guest, host: Host) -> None:
    """End a guest, and wait until it has ended. Raises Fail if it does not."""
    for hard in (False, True):
        host.kill(guest, hard=hard)
        if has_ended(guest, host, KILL_S):
            return
    raise Fail(f"{guest.name} was killed and still runs")
