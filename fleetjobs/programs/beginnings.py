"""Beginnings: a new agent in a language of one's choice, made from an example that works."""

import re
import shutil
import subprocess
from pathlib import Path

from fleetjobs.errors import InvalidInput
from fleetjobs.programs.places import EXAMPLES

#: language -> what a node needs to run it; empty: every node has it
LANGUAGES = {
    "python": "",
    "shell": "",
    "perl": "perl",
    "ruby": "ruby",
    "node": "node",
    "c": "cc",
}
NAME = re.compile(r"\A[a-z][a-z0-9_]{0,63}\Z")
COMPILE_LIMIT_S = 60


def begin_agent(name: str, language: str, directory: Path) -> tuple[Path, list[str]]:
    """Write the agent into a directory of its name; that, and what is left to do by hand.

    Raises InvalidInput, and writes nothing then.
    """
    if not NAME.match(name):
        raise _refusal(
            f"{name!r:.70} cannot name an agent", "small letters, digits, _; a letter first"
        )
    place = directory / name
    if place.exists():
        raise _refusal(f"{place} is there already", "nothing was written; choose another name")
    example = f"hello_{language}"
    place.mkdir(parents=True)
    for path in sorted((EXAMPLES / example).rglob("*")):
        copy = place / str(path.relative_to(EXAMPLES / example)).replace(example, name)
        if path.is_dir():
            copy.mkdir()
        elif path.suffix not in {".pyc", ""} or path.name in {example, ".gitignore"}:
            _copy(path, copy, example, name)
    return place, _finish(place, name, language)


def _refusal(text: str, remedy: str) -> InvalidInput:
    refusal = InvalidInput(text)
    refusal.add_note(remedy)
    return refusal


def _copy(path: Path, copy: Path, example: str, name: str) -> None:
    text = path.read_text(encoding="utf-8").replace(example, name)
    copy.write_text(text, encoding="utf-8")
    copy.chmod(0o755 if path.name == example else 0o644)


def _finish(place: Path, name: str, language: str) -> list[str]:
    """Compile what has to be; what could not be done here."""
    needed = LANGUAGES[language]
    if needed and shutil.which(needed) is None:
        return [f"there is no `{needed}` on this machine; install it where the agent is to run"]
    if language != "c":
        return []
    compiled = subprocess.run(
        [needed, "-O2", "-o", name, f"{name}.c"],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
        timeout=COMPILE_LIMIT_S,
    )
    return compiled.stderr.splitlines() if compiled.returncode else []
