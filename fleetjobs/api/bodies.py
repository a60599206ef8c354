"""Bodies: requests' documents, read within a limit and decoded strictly."""

import re
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from starlette.requests import Request

from fleetjobs.access import FLEET
from fleetjobs.api.faults import InvalidBody, TooLong, UnknownType
from fleetjobs.documents import LIMIT_BYTES
from fleetjobs.errors import Denied, InvalidDocument

JSON = "application/json"
JOSE = "application/jose"  #: a signed document, JWS compact

S = TypeVar("S", bound=Struct)

_PLACE = re.compile(r"(?:field `(?P<field>[^`]+)`|at `\$\.(?P<path>[^`]+)`)")


def media_type(request: Request) -> str:
    """What the body says it is, without its parameters; empty if it does not say."""
    return request.headers.get("content-type", "").split(";")[0].strip().lower()


async def read_body(request: Request, *, kinds: Collection[str], limit: int = LIMIT_BYTES) -> bytes:
    """The whole body, of one of these media types.

    Raises UnknownType, or TooLong, unread where its length is declared.
    """
    kind = media_type(request)
    if kind not in kinds:
        known = " and ".join(sorted(kinds))
        raise UnknownType(f"{kind[:60] or 'no type'} is not taken here; {known} is")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > limit:
        raise TooLong(f"{declared[:20]} bytes are too long; a document has at most {limit}")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > limit:
            raise TooLong(f"too long; a document has at most {limit} bytes")
    return bytes(body)


def decode_body(kind: type[S], raw: bytes) -> S:
    """The JSON as that struct. Raises InvalidDocument if it cannot be read, else InvalidBody."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        found = _PLACE.search(str(error))
        field = (found["field"] or found["path"]) if found else None
        raise InvalidBody(str(error), field=field) from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidDocument(f"not a JSON document: {error}") from None


def own(raw: bytes, org: str) -> bytes:
    """The JSON without its `org`, which has to be the one in which the caller acts; null: none.

    So that nobody thinks that naming another one does anything. Raises Denied.
    """
    if b'"org"' not in raw:
        return raw
    try:
        document = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return raw  # whoever decodes it says what is wrong
    if not isinstance(document, dict) or "org" not in document:
        return raw
    named = document.pop("org")
    if (FLEET if named is None else named) != org:
        raise Denied(f"`org` is {named!r:.60}, and the account acts in {org}; leave it out")
    return msgspec.json.encode(document)


def schema_of(kind: type[Struct]) -> dict[str, Any]:
    """The struct's JSON Schema, its parts in place: for the OpenAPI document."""
    (schema,), parts = msgspec.json.schema_components([kind], ref_template="{name}")
    placed: dict[str, Any] = _in_place(schema, parts)
    return placed


def _in_place(schema: Any, parts: Mapping[str, Any]) -> Any:
    """Without references; patterns in the dialect that JSON Schema wants."""
    if isinstance(schema, list):
        return [_in_place(part, parts) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _in_place(parts[schema["$ref"]], parts)
    placed = {key: _in_place(value, parts) for key, value in schema.items()}
    if isinstance(placed.get("pattern"), str):
        placed["pattern"] = placed["pattern"].replace(r"\A", "^").replace(r"\Z", "$")
    return placed


def json_body(kind: type[Struct], *, required: bool = True) -> dict[str, Any]:
    """How the API's description tells of a body that `decode_body` reads as that kind."""
    return {"requestBody": {"required": required, "content": {JSON: {"schema": schema_of(kind)}}}}


def sealed_body(kind: type[Struct], about: str) -> dict[str, Any]:
    """Likewise, of a body that is plain JSON of that kind, or signed."""
    content = {JSON: {"schema": schema_of(kind)}, JOSE: {"schema": {"type": "string"}}}
    return {"requestBody": {"required": True, "description": about, "content": content}}
