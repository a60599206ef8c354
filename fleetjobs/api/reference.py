"""Reference: the OpenAPI document, and a page that people read it by; nothing is fetched."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response

router = APIRouter(tags=["reference"], include_in_schema=False)

_METHODS = ("get", "post", "put", "patch", "delete")


@router.get("/openapi.json")
def openapi(request: Request) -> Response:
    """The OpenAPI document."""
    return Response(msgspec.json.encode(request.app.openapi()), media_type="application/json")


@router.get("/docs")
def page(request: Request) -> Response:
    """The document as a page."""
    return Response("".join(render(request.app.openapi())), media_type="text/html")


@router.get("/docs/reference.css")
def style() -> Response:
    """How the page looks."""
    return Response(_style(), media_type="text/css", headers={"Cache-Control": "max-age=3600"})


@cache
def _style() -> bytes:
    return files("fleetjobs.api").joinpath("reference.css").read_bytes()


def render(document: Mapping[str, Any]) -> Iterator[str]:
    """The page for an OpenAPI document, in pieces of HTML."""
    title = escape(f"{document['info']['title']} {document['info']['version']}")
    tags = _by_tag(document["paths"])
    schemas = document["components"]["schemas"]
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield '<meta name="color-scheme" content="light dark">'
    yield f'<title>{title}</title><link rel="stylesheet" href="docs/reference.css"></head><body>'
    yield f"<header><h1>{title}</h1>{_paragraphs(document['info']['description'])}"
    yield '<p><a href="openapi.json">OpenAPI document</a></p></header><nav><ul>'
    for tag in tags:
        yield f'<li><a href="#{escape(tag)}">{escape(tag)}</a></li>'
    yield '<li><a href="#documents">documents</a></li></ul></nav><main>'
    for tag, operations in tags.items():
        yield f'<section id="{escape(tag)}"><h2>{escape(tag)}</h2>'
        for method, path, operation in operations:
            yield from _operation(method, path, operation)
        yield "</section>"
    yield '<section id="documents"><h2>documents</h2>'
    for name, schema in sorted(schemas.items()):
        yield from _schema(name, schema)
    yield "</section></main></body></html>"


def _by_tag(paths: Mapping[str, Any]) -> dict[str, list[tuple[str, str, Mapping[str, Any]]]]:
    tags: dict[str, list[tuple[str, str, Mapping[str, Any]]]] = {}
    for path, operations in paths.items():
        for method in _METHODS:
            if method in operations:
                operation = operations[method]
                tags.setdefault(operation["tags"][0], []).append((method, path, operation))
    return tags


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f'<details id="{escape(operation["operationId"])}"><summary>'
    yield f'<span class="method {method}">{method.upper()}</span> <code>{escape(path)}</code> '
    yield f"<span>{escape(operation['summary'])}</span></summary>"
    yield _paragraphs(operation.get("description", ""))
    if parameters := operation.get("parameters"):
        rows = [
            (
                parameter["name"],
                parameter["in"],
                _type(parameter["schema"]),
                parameter.get("description") or parameter["schema"].get("description", ""),
            )
            for parameter in parameters
        ]
        yield _table("Parameters", ("name", "in", "type", "meaning"), rows)
    if body := operation.get("requestBody"):
        yield _paragraphs(body.get("description", ""))
        for media, content in body["content"].items():
            fields = content["schema"].get("properties", {})
            rows_ = [
                (name, _type(field), field.get("description", "")) for name, field in fields.items()
            ]
            yield _table(f"Body: {media}", ("field", "type", "meaning"), rows_)
    answers = [
        (status, ", ".join(answer.get("content", ())), answer["description"])
        for status, answer in sorted(operation["responses"].items())
    ]
    yield _table("Answers", ("status", "as", "meaning"), answers) + "</details>"


def _schema(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    yield f'<details id="schema-{escape(name)}"><summary><code>{escape(name)}</code></summary>'
    yield _paragraphs(schema.get("description", ""))
    if "enum" in schema:
        yield f"<p>{escape(', '.join(str(value) for value in schema['enum']))}</p>"
    rows = [
        (field, _type(part), part.get("description", ""))
        for field, part in schema.get("properties", {}).items()
    ]
    if rows:
        yield _table("Fields", ("field", "type", "meaning"), rows)
    yield "</details>"


def _table(caption: str, heads: tuple[str, ...], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in heads)
    body = "".join(
        f"<tr>{''.join(f'<td>{_prose(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return (
        f"<table><caption>{escape(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def _type(schema: Mapping[str, Any]) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    if "anyOf" in schema:
        return " or ".join(_type(part) for part in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if "enum" in schema:
        return " or ".join(str(value) for value in schema["enum"])
    return str(schema.get("format") or schema.get("type", "any"))


def _paragraphs(text: str) -> str:
    return "".join(f"<p>{_prose(part)}</p>" for part in text.strip().split("\n\n") if part)


def _prose(text: str) -> str:
    """What stands between backticks is code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
