"""The OpenAPI document and the page made of it."""

import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path

from starlette.testclient import TestClient

from tests.api_house import House

COMMITTED = Path(__file__).parents[3] / "docs" / "openapi.json"


def test_the_committed_document_is_current(house: House) -> None:
    """UPDATE_DOCS=1 writes it anew."""
    current = json.dumps(house.app.openapi(), indent=2, ensure_ascii=False) + "\n"
    if os.environ.get("UPDATE_DOCS"):
        COMMITTED.write_text(current)

    assert COMMITTED.read_text() == current


def test_every_operation_says_how_to_authenticate_and_how_it_fails(house: House) -> None:
    """Two probes and the login need no token; all else may answer 401 with a problem."""
    document = house.app.openapi()
    assert document["security"] == [{"token": []}]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            if operation.get("security") == []:
                assert path in {f"/api/v1/{name}" for name in ("healthz", "readyz", "login")}
            else:
                assert "application/problem+json" in operation["responses"]["401"]["content"]


class Page(HTMLParser):
    """What a page loads and where it links."""

    def __init__(self) -> None:
        """Read nothing yet."""
        super().__init__()
        self.ids: set[str] = set()
        self.addresses: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what matters."""
        for name, value in attrs:
            if name == "id":
                self.ids.add(str(value))
            elif name in {"href", "src"}:
                self.addresses.append(str(value))
            elif name == "style" or name.startswith("on"):
                self.inline.append(f"{tag} {name}")
        if tag in {"script", "style"}:
            self.inline.append(tag)


def test_the_page_works_offline_and_under_its_own_policy(ann: TestClient) -> None:
    """Nothing from elsewhere, no inline script or style, no dead link."""
    page = Page()
    text = ann.get("/api/v1/docs").text
    page.feed(text)

    assert page.inline == []
    for address in page.addresses:
        if address.startswith("#"):
            assert address[1:] in page.ids
        else:
            assert not re.match(r"[a-z]+:|//", address)
            assert ann.get(f"/api/v1/{address}").status_code == 200
    assert "url(" not in ann.get("/api/v1/docs/reference.css").text


def test_the_page_shows_every_operation(house: House, ann: TestClient) -> None:
    """By method and path."""
    text = ann.get("/api/v1/docs").text

    for path, operations in house.app.openapi()["paths"].items():
        assert f"<code>{path}</code>" in text
        for operation in operations.values():
            assert f'id="{operation["operationId"]}"' in text


def test_what_stands_between_backticks_is_shown_as_code(ann: TestClient) -> None:
    page = ann.get("/api/v1/docs").text

    assert "<code>code</code> is stable" in page
    assert "`code`" not in page
