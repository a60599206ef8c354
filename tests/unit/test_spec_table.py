"""The table of promises: every row once, every mark a row."""

from tests.spec_table import make_page, read_rows


def test_no_row_is_there_twice() -> None:
    rows = [row for section in read_rows().values() for row, _ in section]

    assert len(rows) == len(set(rows))


def test_a_promise_without_a_test_says_so() -> None:
    page = make_page({"Words": [("X1", "It holds"), ("X2", "So does this")]}, {"X1": {"a.py::b"}})

    assert "| X1 | It holds | [b](../a.py) |" in page
    assert "| X2 | So does this | not yet |" in page
    assert "1 of 2 promises" in page
