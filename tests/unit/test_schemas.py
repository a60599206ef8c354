"""Schemas: what docs/schemas/ tells other languages is what we read."""

import json
import runpy
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from fleetjobs.documents import decode
from fleetjobs.errors import InvalidDocument
from fleetjobs.requests import Request

DOCS = Path(__file__).parents[2] / "docs"
MAKER = runpy.run_path(str(DOCS / "make_schemas.py"))
AGENTS = sorted((DOCS.parent / "agents").glob("*/*.json"))

REQUEST: dict[str, Any] = {
    "type": "request",
    "id": "01890000-0000-7000-8000-000000000000",
    "org": "acme",
    "caller": "alice",
    "agent": "demo",
    "action": "echo",
    "data": {"text": "hello"},
    "target": {"identities": ["web1"]},
    "created_at": "2026-12-01T04:00:00Z",
}


def read_schema(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((DOCS / "schemas" / f"{name}.json").read_text())
    return document


@pytest.mark.parametrize("name", MAKER["KINDS"])
@pytest.mark.spec("S0-06")
def test_the_committed_schema_is_of_the_code_at_hand(name: str) -> None:
    """Run `python docs/make_schemas.py` after a change."""
    committed = (DOCS / "schemas" / f"{name}.json").read_text()

    assert committed == MAKER["write"](name)


@pytest.mark.parametrize("name", MAKER["KINDS"])
def test_the_schema_is_one(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(read_schema(name))


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"version": 1},
        {"not_before": "2026-12-01T05:00:00+01:00", "start_before": None},
        {"id": "1"},
        {"agent": "Demo"},
        {"agent": "demo/x"},
        {"caller": ""},
        {"org": "a\tb"},
        {"data": []},
        {"target": {"node": ["web1"]}},
        {"target": {"identities": "web1"}},
        {"extra": 1},
        {"type": "reply"},
    ],
    ids=str,
)
def test_schema_and_code_agree_on_requests(change: dict[str, Any]) -> None:
    document = {**REQUEST, **change}
    valid = jsonschema.Draft202012Validator(read_schema("request")).is_valid(document)

    try:
        decode(Request, msgspec.json.encode(document))
    except InvalidDocument:
        assert not valid
    else:
        assert valid


@pytest.mark.parametrize("path", AGENTS, ids=lambda path: path.stem)
def test_the_interfaces_of_our_own_agents_fit_the_schema(path: Path) -> None:
    jsonschema.validate(json.loads(path.read_text()), read_schema("interface"))


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("agent-reply", {}),
        ("agent-reply", {"statuscode": 1, "statusmsg": "no", "data": {"a": 1}, "delay_s": 30}),
        ("agent-reply", {"next": [{"action": "do", "target": {"identities": ["web1"]}}]}),
        ("agent-reply", {"more": "is left to those who know it"}),
        ("agent-progress", {"percent": 40, "text": "unpacking"}),
    ],
)
def test_what_a_program_may_write_fits_the_schema(name: str, document: dict[str, Any]) -> None:
    jsonschema.validate(document, read_schema(name))


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("agent-reply", []),
        ("agent-reply", {"statuscode": "0"}),
        ("agent-reply", {"data": []}),
        ("agent-reply", {"delay_s": -1}),
        ("agent-reply", {"next": [{}]}),
        ("agent-reply", {"next": [{"action": "do", "more": 1}]}),
        ("agent-progress", {"percent": 101}),
    ],
)
def test_what_a_program_may_not_write_does_not(name: str, document: object) -> None:
    assert not jsonschema.Draft202012Validator(read_schema(name)).is_valid(document)
