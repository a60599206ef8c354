"""Documents: the frame of all that is signed, the types of their fields, and how one is read."""

from datetime import datetime
from typing import Annotated, Any, ClassVar, TypeVar

import msgspec
from msgspec import Meta, Struct

from fleetjobs.errors import InvalidDocument, InvalidInput
from fleetjobs.names import JOB_ID, NODE_ID
from fleetjobs.values import read_json

VERSION = 1
LIMIT_BYTES = 8 * 1024 * 1024  #: a longer document is refused unread

Id = Annotated[str, Meta(pattern=JOB_ID.pattern, description="UUIDv7 of the job, lower case")]
Identity = Annotated[str, Meta(pattern=NODE_ID.pattern, description="a node's identity")]
Name = Annotated[str, Meta(pattern=r"\A[a-z0-9_]{1,64}\Z", description="agent or action")]
Account = Annotated[
    str, Meta(pattern=r"\A[^\x00-\x1f\x7f]{1,128}\Z", description="an account, or an org")
]
Splay = Annotated[
    float, Meta(ge=0, le=366 * 24 * 3600, description="seconds over which its nodes begin")
]
Priority = Annotated[
    int, Meta(ge=-100, le=100, description="who waits for a slot: the higher goes first")
]
Moment = Annotated[datetime, Meta(tz=True, description="RFC 3339 with zone")]


class Document(
    Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    tag_field="type",
):
    """What all documents share: a `type`, and a version of the protocol."""

    version: int = VERSION
    is_plain: ClassVar[bool] = False  # who signs it must mean what each reader on its way sees


D = TypeVar("D", bound=Document)


def encode(document: Document) -> bytes:
    """The document as JSON bytes, UTF-8, one line."""
    return msgspec.json.encode(document)


def decode(kind: type[D], raw: bytes) -> D:
    """The bytes as a document of that kind. Raises InvalidDocument and says where it breaks."""
    document: D = read(kind, raw)
    if kind.is_plain:
        check_plain(raw)
    return document


def read(kind: Any, raw: bytes) -> Any:
    """The bytes as a document of that kind, or of one of several. Raises InvalidDocument."""
    if len(raw) > LIMIT_BYTES:
        raise InvalidDocument(
            f"{len(raw)} bytes are too long; a document has at most {LIMIT_BYTES}"
        )
    try:
        document = msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidDocument(f"not a document we know: {error}") from None
    if document.version != VERSION:
        raise InvalidDocument(f"version {document.version} is not understood; we speak {VERSION}")
    return document


def check_plain(raw: bytes) -> None:
    """Refuse what other readers would take otherwise than we do, such as a key that is there twice.

    Only of requests: who signs one must mean what each reader on its way sees.
    """
    try:
        read_json(raw.decode(), "the request")
    except InvalidInput as error:
        raise InvalidDocument(str(error)) from None
