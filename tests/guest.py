"""Guest: a small real guest for tests, made from a Debian kernel and busybox.

It mounts its disk, says on its console what a file on it holds, and does what `then=` on the
kernel's command line says: `off` ends it, `wait` ends it at its power button, `deaf` does not.
"""

import fcntl
import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
SELF = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
CACHE = ROOT / ".cache" / f"guest-{SELF}"  #: shared by all tests, kept until this file changes
TOOLS = ("qemu-system-x86_64", "qemu-img", "mke2fs", "dpkg-deb", "apt-get")
#: what a disk needs, in the order of their loading
MODULES = (
    "drivers/virtio/virtio_ring",
    "drivers/virtio/virtio",
    "drivers/virtio/virtio_pci_legacy_dev",
    "drivers/virtio/virtio_pci_modern_dev",
    "drivers/virtio/virtio_pci",
    "drivers/block/virtio_blk",
    "drivers/acpi/button",
    "drivers/input/evdev",
)
INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in {modules}; do insmod /lib/$module.ko; done
for word in $(cat /proc/cmdline); do
    case $word in guest=*|then=*) eval "$word";; esac
done
until [ -b /dev/vda ]; do sleep 0.1; done
mount -t ext4 -o ro /dev/vda /mnt
echo "$guest reads: $(cat /mnt/line)"
umount /mnt
button=$(grep -l "Power Button" /sys/class/input/event*/device/name | cut -d / -f 5)
case $then in
wait) head -c 24 "/dev/input/$button" >/dev/null; echo "$guest shuts down" ;;
deaf) while true; do sleep 3600; done ;;
esac
poweroff -f
"""


class GuestMissing(Exception):
    """What a guest is made of is not here, and why."""


@dataclass(frozen=True, slots=True)
class GuestFiles:
    """What a guest boots."""

    kernel: Path
    initrd: Path


def have_guest() -> GuestFiles:
    """Kernel and initial file system, made if need be. Raises GuestMissing."""
    missing = [tool for tool in TOOLS if not find_tool(tool)]
    if missing:
        raise GuestMissing(f"not installed: {', '.join(missing)}")
    CACHE.mkdir(parents=True, exist_ok=True)
    files = GuestFiles(CACHE / "vmlinuz", CACHE / "initrd")
    with _alone():
        if not files.initrd.exists():  # it is made last
            with tempfile.TemporaryDirectory(dir=CACHE) as place:
                _make(Path(place), files)
    return files


def make_image(path: Path, line: str) -> None:
    """A raw disk image of 4 MiB that holds a line of text."""
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "line").write_text(f"{line}\n")
        _run(find_tool("mke2fs"), "-q", "-t", "ext4", "-d", place, str(path), "4M")


def find_tool(name: str) -> str:
    """Its path; empty if it is not installed. mke2fs may lie where only root looks."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin") or ""


@contextmanager
def _alone() -> Iterator[None]:
    """Keep other test processes out."""
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(place: Path, files: GuestFiles) -> None:
    _download(place)
    tree = place / "tree"
    for package in place.glob("*.deb"):
        _run("dpkg-deb", "-x", str(package), str(tree))
    root = place / "root"
    for name in ("bin", "lib", "proc", "sys", "dev", "mnt"):
        (root / name).mkdir(parents=True)
    busybox = root / "bin" / "busybox"
    shutil.copy(tree / "bin" / "busybox", busybox)
    modules = next((tree / "lib" / "modules").iterdir()) / "kernel"
    for module in MODULES:
        shutil.copy(modules / f"{module}.ko", root / "lib")
    init = root / "init"
    init.write_text(INIT.format(modules=" ".join(Path(module).name for module in MODULES)))
    init.chmod(0o755)
    names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
    packed = subprocess.run(
        [str(busybox), "cpio", "-o", "-H", "newc"],
        cwd=root,
        input=names.encode(),
        capture_output=True,
        check=True,
    ).stdout
    shutil.copy(next((tree / "boot").glob("vmlinuz-*")), files.kernel)
    aside = files.initrd.with_suffix(".new")
    aside.write_bytes(packed)
    aside.rename(files.initrd)


def _download(place: Path) -> None:
    """The packages, by apt; its lists are fetched if there are none."""
    try:
        names = ["busybox-static", _kernel_package()]
    except GuestMissing:
        _run("apt-get", "update", "-qq")
        names = ["busybox-static", _kernel_package()]
    _run("apt-get", "download", "-qq", *names, cwd=place)


def _kernel_package() -> str:
    """The package that the newest kernel for virtual machines is in."""
    for line in _run("apt-cache", "depends", "linux-image-cloud-amd64").splitlines():
        name = line.strip().removeprefix("Depends: ")
        if name.startswith("linux-image-") and name != "linux-image-cloud-amd64":
            return name
    raise GuestMissing("apt knows no linux-image-cloud-amd64")


def _run(*argv: str, cwd: Path | None = None) -> str:
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise GuestMissing(f"{' '.join(argv)} ended with {done.returncode}: {done.stderr[-500:]}")
    return done.stdout
