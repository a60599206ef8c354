"""Facts: what a node is, as targets and agents see it.

Built-in basics in the shape users of Facter know, overlaid by what stands in a facts directory:
`*.json`, `*.yaml`, and programs that print JSON.
"""

import json
import logging
import os
import platform
import socket
import subprocess
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import psutil
import yaml

from fleetjobs.errors import Fault, InvalidInput
from fleetjobs.values import check_value

logger = logging.getLogger(__name__)

MOST_BYTES = 1024 * 1024  #: of facts in one file: all of them travel in one message
PROGRAM_LIMIT_S = 10  #: a fact program that takes longer is ended and left out
_FAMILY = {"ubuntu": "Debian", "debian": "Debian", "fedora": "RedHat", "rhel": "RedHat"}


def gather_facts(identity: str, directories: tuple[Path, ...]) -> dict[str, Any]:
    """All facts of this machine; later directories win. What cannot be read is logged."""
    facts = basic_facts(identity)
    for directory in directories:
        for path in sorted(directory.glob("*")) if directory.is_dir() else []:
            facts.update(_read(path))
    return facts


def basic_facts(identity: str) -> dict[str, Any]:
    """Operating system, kernel, addresses, processors, memory."""
    uname = platform.uname()
    return {
        "identity": identity,
        "hostname": socket.gethostname(),
        "kernel": uname.system,
        "kernelrelease": uname.release,
        "architecture": uname.machine,
        "os": _operating_system(),
        "networking": _networking(),
        "processors": {"count": os.cpu_count() or 1},
        "memory": {"total_bytes": psutil.virtual_memory().total},
        "boot_time": int(psutil.boot_time()),
        "python": platform.python_version(),
    }


def read_classes(path: Path) -> list[str]:
    """The classes a node belongs to, one a line, `#` for comments; none if there is no file."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        logger.error("classes left out: %s: %s", path, error)
        return []
    return sorted({word for line in lines if (word := line.split("#")[0].strip())})


def _operating_system() -> dict[str, Any]:
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        release = {}
    name = release.get("ID", platform.system().lower())
    like = (name, *release.get("ID_LIKE", "").split())
    full = release.get("VERSION_ID", "")
    return {
        "name": release.get("NAME", name).split()[0],
        "family": next((_FAMILY[word] for word in like if word in _FAMILY), name),
        "release": {"full": full, "major": full.split(".")[0]},
        "codename": release.get("VERSION_CODENAME", ""),
    }


def _networking() -> dict[str, Any]:
    addresses = {
        name: [entry.address for entry in entries if entry.family in (socket.AF_INET, _INET6)]
        for name, entries in psutil.net_if_addrs().items()
    }
    outward = [
        address
        for name, found in addresses.items()
        for address in found
        if name != "lo" and "." in address
    ]
    return {"interfaces": addresses, "ip": outward[0] if outward else "127.0.0.1"}


_INET6 = socket.AF_INET6


def _read(path: Path) -> Mapping[str, Any]:
    try:
        if path.suffix == ".json":
            found = json.loads(path.read_text(encoding="utf-8"))
        elif path.suffix in {".yaml", ".yml"}:
            found = yaml.safe_load(path.read_text(encoding="utf-8"))
        elif path.is_file() and os.access(path, os.X_OK):
            done = subprocess.run(
                [path],
                capture_output=True,
                check=True,
                timeout=PROGRAM_LIMIT_S,
                stdin=subprocess.DEVNULL,
            )
            found = json.loads(done.stdout)
        else:
            return {}
    except (
        OSError,
        ValueError,
        RecursionError,
        yaml.YAMLError,
        subprocess.SubprocessError,
    ) as error:
        logger.error("facts left out: %s: %s", path, error)
        return {}
    if not isinstance(found, dict):
        logger.error("facts left out: %s: not an object but %s", path, type(found).__name__)
        return {}
    try:
        return _plain(found)
    except (Fault, TypeError, ValueError, RecursionError) as error:
        logger.error("facts left out: %s: %s", path, error)
        return {}


def _plain(found: dict[Any, Any]) -> dict[str, Any]:
    """Facts that everyone can be told: YAML knows dates, too, and names that are no text.

    Raises InvalidInput, TypeError, ValueError.
    """
    text = json.dumps(found, default=_in_words)
    if len(text) > MOST_BYTES:
        raise InvalidInput(f"longer than {MOST_BYTES} bytes")
    facts: dict[str, Any] = json.loads(text)
    check_value(facts, "a fact")
    return facts


def _in_words(value: object) -> str:
    if isinstance(value, date):  # or a datetime, which is one
        return value.isoformat()
    raise TypeError(f"holds a {type(value).__name__}, which JSON has not")
