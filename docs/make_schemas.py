"""Write docs/schemas/: the JSON Schemas of all documents, made from the classes that read them.

Run it after a change to one of the classes below:

    python docs/make_schemas.py
"""

import json
from pathlib import Path
from typing import Any

import msgspec

from fleetjobs.contract import Progress, RequestDocument
from fleetjobs.declarations import InterfaceDocument
from fleetjobs.messages import (
    Answer,
    Beat,
    Deliveries,
    Delivery,
    Order,
    Question,
    Refusal,
    Replies,
    Reply,
)
from fleetjobs.node.verdict import ReplyDocument
from fleetjobs.plans.documents import Plan, PlanRequest
from fleetjobs.requests import Request

SCHEMAS = Path(__file__).parent / "schemas"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
KINDS: dict[str, type] = {
    "request": Request,
    "delivery": Delivery,
    "deliveries": Deliveries,
    "reply": Reply,
    "replies": Replies,
    "order": Order,
    "question": Question,
    "answer": Answer,
    "refusal": Refusal,
    "beat": Beat,
    "plan": Plan,
    "plan-request": PlanRequest,
    "interface": InterfaceDocument,
    "agent-request": RequestDocument,
    "agent-reply": ReplyDocument,
    "agent-progress": Progress,
}


def make_schema(name: str) -> dict[str, Any]:
    """The schema of one kind of document."""
    schema = msgspec.json.schema(KINDS[name])
    return {"$schema": DIALECT, "$id": f"urn:fleetjobs:schema:{name}", **_portable(schema)}


def _portable(part: Any) -> Any:
    r"""The schema with its patterns in ECMA 262, which has no \A and \Z."""
    if isinstance(part, list):
        return [_portable(item) for item in part]
    if not isinstance(part, dict):
        return part
    portable = {key: _portable(value) for key, value in part.items()}
    pattern = portable.get("pattern")
    if isinstance(pattern, str):
        portable["pattern"] = pattern.replace(r"\A", "^").replace(r"\Z", "$")
    return portable


def write(name: str) -> str:
    """The schema as its file holds it."""
    return json.dumps(make_schema(name), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMAS.mkdir(exist_ok=True)
    for name in KINDS:
        (SCHEMAS / f"{name}.json").write_text(write(name), encoding="utf-8")
