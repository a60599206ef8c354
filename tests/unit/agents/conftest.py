"""Files to search, and a way to search them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.agent_programs import PATH, ROOT, Called, call

Search = Callable[..., Called]


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """A directory that may be searched."""
    directory = tmp_path / "logs"
    directory.mkdir()
    (tmp_path / "roots.json").write_text(json.dumps({"roots": [str(directory)]}))
    return directory


@pytest.fixture
def search(logs: Path, tmp_path: Path) -> Search:
    """Search files of that directory, by name or glob."""

    def search(*names: str, path: str = PATH, **data: Any) -> Called:
        inputs = {"files": [str(logs / name) for name in names], **data}
        env = {"FLEETJOBS_LOGS_CONFIG": str(tmp_path / "roots.json"), "PATH": path, "TZ": "UTC"}
        return call(ROOT / "agents/logs", tmp_path / "work", "search", inputs, env=env)

    return search


@pytest.fixture
def without_ripgrep(tmp_path: Path) -> str:
    """A PATH on which there is grep only."""
    directory = tmp_path / "bin"
    directory.mkdir()
    grep = shutil.which("grep")
    assert grep
    (directory / "grep").symlink_to(grep)
    return str(directory)
