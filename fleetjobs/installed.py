"""Installed: directories of agents that Python packages bring along.

A package names itself in the entry point group `fleetjobs.agents`; agents lie in its directory:

    [project.entry-points."fleetjobs.agents"]
    acme = "acme_agents"
"""

import configparser
import importlib.util
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

GROUP = "fleetjobs.agents"

logger = logging.getLogger(__name__)


class Installed:
    """Looks again when something was installed or removed; a stat for each entry of the path.

    By hand: importlib.metadata would bring the reading of mail into each small process.
    """

    def __init__(self, path: Sequence[str] | None = None) -> None:
        """`path` is where packages are installed; None: where Python looks for them."""
        self._path = path
        self._stamps: list[tuple[str, int]] = []
        self._found: tuple[Path, ...] = ()

    def __call__(self) -> tuple[Path, ...]:
        """The directories, in the order of the packages' names."""
        stamps = [(entry, _stamp(entry)) for entry in self._path or sys.path if entry]
        if stamps != self._stamps:
            self._stamps = stamps
            importlib.invalidate_caches()
            values = {value for entry, _ in stamps for value in _values(entry)}
            found = [_directory(value) for value in sorted(values)]
            self._found = tuple(directory for directory in found if directory is not None)
        return self._found


def _stamp(entry: str) -> int:
    try:
        return os.stat(entry).st_mtime_ns  # noqa: PTH116  asked at each run: Path costs
    except OSError:
        return 0


def _values(entry: str) -> Iterator[str]:
    """What the entry points of our group name, of all that is installed there."""
    try:
        names = os.listdir(entry)  # noqa: PTH208  a hundred names: Path costs
    except OSError:
        return
    for name in names:
        if name.endswith((".dist-info", ".egg-info")):
            try:
                text = Path(entry, name, "entry_points.txt").read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError):
                continue
            if GROUP in text:
                yield from _read(text, name)


def _read(text: str, name: str) -> Iterator[str]:
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    try:
        parser.read_string(text)
    except configparser.Error as error:
        logger.error("the entry points of %s cannot be read: %s", name, error)
        return
    if parser.has_section(GROUP):
        for _, value in parser.items(GROUP):
            yield value.partition(":")[0].strip()


def _directory(module: str) -> Path | None:
    """Where the package lies; nothing of it is run."""
    first, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(first)
    except (ImportError, ValueError):
        spec = None
    for place in (spec.submodule_search_locations or ()) if spec else ():
        directory = Path(place, *rest)
        if directory.is_dir():
            return directory
    logger.error("agents of the package %s: there is no such package", module)
    return None
