"""Settings: where volumes and guests of this node are kept, and what runs them."""

import json
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from fleetjobs.agent import Fail

CONFIG = Path("/etc/fleetjobs/agents/vm.json")  #: {"state": "/srv/vm", …}
PROVIDERS = ("auto", "libvirt", "qemu")
ACCELERATORS = ("tcg", "kvm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the node's owner says; all of it may be left out."""

    state: str = "/var/lib/fleetjobs/vm"
    images: tuple[str, ...] = ("/var/lib/fleetjobs/images",)  # images and kernels lie under these
    provider: str = "auto"  # auto: libvirt if it answers, else qemu by itself
    libvirt: str = "qemu:///system"
    # kvm is never chosen by itself: a /dev/kvm that opens may still hang every guest
    accelerator: str = "tcg"

    @property
    def volumes(self) -> Path:
        """A directory for each volume."""
        return Path(self.state) / "volumes"

    @property
    def guests(self) -> Path:
        """A directory for each guest."""
        return Path(self.state) / "guests"


def read_settings() -> Settings:
    """The settings; the usual ones where there is no file.

    FLEETJOBS_VM_CONFIG names another file than CONFIG. Raises Fail if it cannot be read: a
    mistake in it must not put volumes elsewhere.
    """
    path = Path(os.environ.get("FLEETJOBS_VM_CONFIG") or CONFIG)
    try:
        said = json.loads(path.read_text())
    except FileNotFoundError:
        return Settings()
    except (OSError, ValueError) as error:
        raise Fail(f"{path} cannot be read: {error}") from None
    return _checked(path, said)


def _checked(path: Path, said: Any) -> Settings:
    known = {field.name for field in fields(Settings)}
    if not isinstance(said, dict) or not set(said) <= known:
        raise Fail(f"{path}: expected an object with some of: {', '.join(sorted(known))}")
    images = said.get("images", [])
    paths = [said.get("state", "/"), *(images if isinstance(images, list) else [None])]
    if not all(isinstance(place, str) and place.startswith("/") for place in paths):
        raise Fail(f"{path}: state is an absolute path, and images a list of such")
    settings = Settings(**{**said, **({"images": tuple(images)} if images else {})})
    if settings.provider not in PROVIDERS:
        raise Fail(f"{path}: provider is one of {', '.join(PROVIDERS)}")
    if settings.accelerator not in ACCELERATORS:
        raise Fail(f"{path}: accelerator is one of {', '.join(ACCELERATORS)}")
    return settings
