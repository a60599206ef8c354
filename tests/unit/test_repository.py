"""The repository keeps its own promises: one version, no machine's paths, no index's name."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LATEST = re.compile(r"^## \[(?P<version>[^\]]+)\]", re.MULTILINE)
# Written so that this file does not contain what it looks for.
ELSEWHERE = re.compile(
    r"/ro{2}t/|/ho{1}me/[a-z]|/wo{1}rk/|pypi\.or{1}g|pythonho{1}sted|debian\.or{1}g"
)


def test_the_changelog_starts_with_the_version_of_the_package() -> None:
    latest = LATEST.search((ROOT / "CHANGELOG.md").read_text())

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert latest is not None
    assert latest["version"] == project["version"]


def test_no_file_names_a_machine_or_a_package_index() -> None:
    found = [
        f"{path}:{number}: {line.strip()[:80]}"
        for path in tracked_files()
        for number, line in enumerate(text_of(path).splitlines(), 1)
        if ELSEWHERE.search(line)
    ]

    assert found == []


def test_no_file_holds_the_marks_of_a_merge() -> None:
    marks = ("<" * 7 + " ", ">" * 7 + " ")

    found = [
        f"{path}:{number}"
        for path in tracked_files()
        for number, line in enumerate(text_of(path).splitlines(), 1)
        if line.startswith(marks)
    ]

    assert found == []


@pytest.mark.parametrize("name", ["Makefile", "README.md", "CONTRIBUTING.md", "LICENSE", "NOTICE"])
def test_what_a_reader_looks_for_first_is_there(name: str) -> None:
    assert (ROOT / name).stat().st_size > 0


def tracked_files() -> list[Path]:
    """What a clone holds; nothing where this is no clone."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return [Path(name) for name in listed.stdout.split("\0") if name]


def text_of(path: Path) -> str:
    """The file's text; empty for what is not text, or is gone from the work tree."""
    try:
        return (ROOT / path).read_text()
    except (UnicodeDecodeError, OSError):
        return ""
