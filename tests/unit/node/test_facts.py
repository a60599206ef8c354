"""Facts: basics of the machine, overlaid by what an administrator put into the directory."""

import json
from pathlib import Path

import pytest

from fleetjobs.node.facts import gather_facts, read_classes


def test_basics_are_there() -> None:
    facts = gather_facts("web1", ())

    assert facts["identity"] == "web1"
    assert facts["processors"]["count"] >= 1
    assert facts["os"]["family"]


def test_files_and_programs_overlay_the_basics(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"role": "web", "identity": "ignored?"}', encoding="utf-8")
    (tmp_path / "b.yaml").write_text("role: db\nrack: [1, 2]\n", encoding="utf-8")
    program = tmp_path / "c"
    program.write_text('#!/bin/sh\necho \'{"from": "program"}\'\n', encoding="utf-8")
    program.chmod(0o755)

    facts = gather_facts("web1", (tmp_path,))

    assert facts["role"] == "db"
    assert facts["rack"] == [1, 2]
    assert facts["from"] == "program"


def test_what_only_yaml_knows_is_told_in_words(tmp_path: Path) -> None:
    """As it came, it could not be told, and the node did not start."""
    (tmp_path / "a.yaml").write_text("since: 2024-01-31\nat: 2024-01-31 04:00:00\n3: three\n")

    facts = gather_facts("web1", (tmp_path,))

    assert (facts["since"], facts["at"]) == ("2024-01-31", "2024-01-31T04:00:00")
    assert facts["3"] == "three"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", b"{"),
        ("a.json", b"[1]"),
        ("a.json", b"\xff\xfe"),
        ("a.json", b"[" * 100_000),
        ("a.yaml", b"a: [b"),
        ("a.yaml", b"!!python/object/apply:os.system [id]"),
        ("a.yaml", b"a: &a [*a]"),
        ("a.yaml", b"a: .nan"),
        ("a.yaml", b"? [a, b]\n: c"),
        ("a.yaml", b"a: !!set {b}"),
        ("a.json", b'{"a": "\\ud800"}'),
        ("a.json", b'{"a": "' + b"x" * 1_100_000 + b'"}'),
    ],
)
def test_rubbish_is_left_out_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    (tmp_path / "z.json").write_text(json.dumps({"good": True}), encoding="utf-8")

    facts = gather_facts("web1", (tmp_path,))

    assert facts["good"] is True
    assert name in caplog.text


def test_a_failing_program_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    program = tmp_path / "bad"
    program.write_text("#!/bin/sh\nexit 3\n", encoding="utf-8")
    program.chmod(0o755)

    gather_facts("web1", (tmp_path,))

    assert "exit status 3" in caplog.text


def test_classes_are_one_a_line(tmp_path: Path) -> None:
    file = tmp_path / "classes"
    file.write_text("web\n# not this\ndb  # trailing\n\nweb\n", encoding="utf-8")

    assert read_classes(file) == ["db", "web"]
    assert read_classes(tmp_path / "none") == []
