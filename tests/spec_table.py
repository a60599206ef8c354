"""Spec table: which test holds which promise; `make spec` writes docs/spec.md.

The rows are in spec_rows.toml, the tests say theirs: `@pytest.mark.spec("S1-13")`.
"""

import contextlib
import io
import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROWS = ROOT / "tests" / "spec_rows.toml"
PAGE = ROOT / "docs" / "spec.md"
PARAMETERS = re.compile(r"\[.*\]$")
HEAD = """\
# What is promised, and which test holds it

Written by `make spec` from `tests/spec_rows.toml` and the marks of the tests; do not edit.
"""


class Collector:
    """A pytest plugin that notes which tests bear which marks."""

    def __init__(self) -> None:
        """Start with none."""
        self.tests: dict[str, set[str]] = defaultdict(set)

    def pytest_collection_modifyitems(self, items: Sequence[pytest.Item]) -> None:
        """Read the marks; a test with parameters counts once."""
        for item in items:
            for mark in item.iter_markers("spec"):
                for row in mark.args:
                    self.tests[row].add(PARAMETERS.sub("", item.nodeid))


def read_rows() -> dict[str, list[tuple[str, str]]]:
    """The promises by section: (id, promise)."""
    document = tomllib.loads(ROWS.read_text())
    return {
        section["title"]: [(row, promise) for row, promise in section["rows"]]
        for section in document["section"]
    }


def make_page(rows: Mapping[str, list[tuple[str, str]]], tests: Mapping[str, set[str]]) -> str:
    """The page as Markdown."""
    known = {row for section in rows.values() for row, _ in section}
    lines = [HEAD, f"{len(known & set(tests))} of {len(known)} promises have a test.", ""]
    for title, section in rows.items():
        lines += [f"## {title}", "", "| | promise | held by |", "|---|---|---|"]
        lines += [
            f"| {row} | {promise} | {_holders(tests.get(row, set()))} |" for row, promise in section
        ]
        lines.append("")
    return "\n".join(lines)


def _holders(tests: set[str]) -> str:
    """Each test as a link to its file."""
    if not tests:
        return "not yet"
    links = []
    for test in sorted(tests):
        path, _, name = test.partition("::")
        links.append(f"[{name.replace('::', '.').removeprefix('test_')}](../{path})")
    return "<br>".join(links)


def main() -> int:
    """Collect the tests and write the page; the exit status."""
    collector = Collector()
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        status = pytest.main(
            ["--collect-only", "-q", "-p", "no:randomly", "-m", "", str(ROOT / "tests")],
            plugins=[collector],
        )
    if status not in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
        sys.stderr.write(said.getvalue())
        return int(status)
    rows = read_rows()
    unknown = set(collector.tests) - {row for section in rows.values() for row, _ in section}
    if unknown:
        sys.stderr.write(f"marks that name no row of {ROWS.name}: {', '.join(sorted(unknown))}\n")
        return 1
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(make_page(rows, collector.tests))
    held = len(collector.tests)
    sys.stdout.write(f"{PAGE.relative_to(ROOT)}: {held} promises have a test\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
