"""Oracle: what the actions did, as they themselves wrote it to disk."""

from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

START, END = "start", "end"


class Attempt(NamedTuple):
    """One try of a job on a node."""

    job: str
    node: str
    number: int


class Mark(NamedTuple):
    """A line that an action wrote."""

    attempt: Attempt
    pid: int
    word: str  # START or END
    text: str = ""  # what it was asked to write


def read_marks(path: Path) -> list[Mark]:
    """All marks, in the order they were made."""
    if not path.exists():
        return []
    marks = []
    for line in path.read_text().splitlines():
        job, node, number, pid, word, *text = line.split(maxsplit=5)
        marks.append(Mark(Attempt(job, node, int(number)), int(pid), word, "".join(text)))
    return marks


def counts(marks: list[Mark]) -> dict[Attempt, Counter[str]]:
    """How often each attempt began and ended."""
    found: dict[Attempt, Counter[str]] = defaultdict(Counter)
    for mark in marks:
        found[mark.attempt][mark.word] += 1
    return found
