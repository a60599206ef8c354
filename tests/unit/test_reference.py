"""The reference of the command line says what the commands say."""

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_reference_is_current() -> None:
    """Run `python docs/make_reference.py` after a change."""
    maker = runpy.run_path(str(DOCS / "make_reference.py"))

    assert (DOCS / "reference-cli.md").read_text() == maker["make_page"]()
