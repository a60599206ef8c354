"""Messages: what is written can be read, and nothing else can."""

import json
import pickle
import zlib
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetjobs.documents import LIMIT_BYTES, Document, decode, encode
from fleetjobs.errors import InvalidDocument
from fleetjobs.messages import (
    Beat,
    Deliveries,
    Delivery,
    Inventory,
    Output,
    Refusal,
    Replies,
    Reply,
    Stage,
    decode_from_node,
)
from fleetjobs.requests import Request
from fleetjobs.states import Reason, State
from fleetjobs.targets import Target

JOB = "01890000-0000-7000-8000-000000000000"
AT = datetime(2026, 12, 1, 4, tzinfo=UTC)

REQUEST = Request(
    id=JOB,
    org="acme",
    caller="alice",
    agent="package",
    action="update",
    data={"name": "openssl", "options": {"deep": [1, 2.5, None, True]}},
    target=Target(classes=("web",), limit="10%"),
    created_at=AT,
    not_before=AT + timedelta(hours=1),
)
DELIVERY = Delivery(job=JOB, node="web1", attempt=2, request="0" * 64, issued_at=AT)
REPLY = Reply(
    job=JOB,
    node="web1",
    attempt=2,
    stage=Stage.FINISHED,
    state=State.FAILED,
    reason=Reason.EXIT_CODE,
    statuscode=1,
    exit_code=-9,
    ended_at=AT,
    stdout=Output(size=3, content=b"\xff\x00\n"),
)
REFUSAL = Refusal(node="web1", at=AT, code="stale", why="issued yesterday", message="0" * 64)
BEAT = Beat(
    node="web1", at=AT, started_at=AT, software="0.1.0", inventory=Inventory(facts={"cpus": 2})
)
DELIVERIES = Deliveries(node="web1", issued_at=AT, deliveries=[DELIVERY])
REPLIES = Replies(node="web1", replies=[REPLY])
DOCUMENTS = [REQUEST, DELIVERY, DELIVERIES, REPLY, REPLIES, REFUSAL, BEAT]


def altered(document: Document, **fields: Any) -> bytes:
    return json.dumps({**json.loads(encode(document)), **fields}).encode()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: type(document).__name__)
def test_what_was_written_is_read_again(document: Document) -> None:
    assert decode(type(document), encode(document)) == document


@pytest.mark.parametrize(
    "document", [REPLY, REPLIES, REFUSAL, BEAT], ids=lambda d: type(d).__name__
)
def test_what_a_node_sends_is_told_apart_by_its_type(document: Document) -> None:
    assert decode_from_node(encode(document)) == document


@pytest.mark.parametrize(
    "document", [REQUEST, DELIVERY, DELIVERIES], ids=lambda d: type(d).__name__
)
def test_what_no_node_sends_is_refused_from_it(document: Document) -> None:
    with pytest.raises(InvalidDocument):
        decode_from_node(encode(document))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: type(document).__name__)
def test_an_unknown_field_is_refused(document: Document) -> None:
    with pytest.raises(InvalidDocument, match="unknown field"):
        decode(type(document), altered(document, extra=1))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: type(document).__name__)
def test_another_version_is_refused(document: Document) -> None:
    with pytest.raises(InvalidDocument, match="version 2 is not understood"):
        decode(type(document), altered(document, version=2))


def test_another_kind_is_refused() -> None:
    with pytest.raises(InvalidDocument):
        decode(Request, encode(DELIVERY))


@pytest.mark.parametrize(
    "fields",
    [
        {"id": "1"},
        {"id": JOB.upper().replace("0", "A")},
        {"agent": "package\n"},
        {"agent": "../package"},
        {"action": "Update"},
        {"caller": ""},
        {"caller": "a\nb"},
        {"org": "o" * 129},
        {"data": None},
        {"data": [1]},
        {"target": {"node": ["web1"]}},
        {"created_at": "2026-12-01T04:00:00"},
        {"created_at": "tomorrow"},
        {"created_at": 5},
        {"data": {"x": 2**63}},
        {"data": {"x": "\0"}},
        {"data": json.loads("[" * 70 + "]" * 70)},
    ],
)
def test_a_request_with_an_ill_formed_field_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidDocument):
        decode(Request, altered(REQUEST, **fields))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        encode(REQUEST)[:-1],
        encode(REQUEST) + b"}",
        encode(REQUEST).replace(b"openssl", b"\xff"),
        encode(REQUEST).replace(b'"openssl"', b"NaN"),
        encode(REQUEST).replace(b'"openssl"', b"1e999"),
        encode(REQUEST).replace(b'"openssl"', b"[" * 100_000 + b"]" * 100_000),
        pickle.dumps({"type": "request"}),
        zlib.compress(encode(REQUEST)),
    ],
    ids=str,
)
def test_rubbish_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidDocument):
        decode(Request, raw)


def test_a_key_that_is_there_twice_is_refused() -> None:
    """One reader would take the first, another the last; the signature fits both."""
    raw = encode(REQUEST).replace(b'"name":"openssl"', b'"name":"openssl","name":"bash"')

    with pytest.raises(InvalidDocument, match="twice"):
        decode(Request, raw)


def test_a_long_document_is_refused_unread() -> None:
    with pytest.raises(InvalidDocument, match="too long"):
        decode(Request, b" " * (LIMIT_BYTES + 1))


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode()))
def test_reading_ends_in_a_document_or_a_refusal(raw: bytes) -> None:
    with pytest.raises(InvalidDocument):
        decode_from_node(raw)


def test_a_time_keeps_its_zone() -> None:
    prague = timezone(timedelta(hours=1))
    raw = altered(REQUEST, not_before="2026-12-01T04:00:00+01:00")

    assert decode(Request, raw).not_before == datetime(2026, 12, 1, 4, tzinfo=prague)
