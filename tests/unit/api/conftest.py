"""Fixtures: who asks the server."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.api_house import House


@pytest.fixture
def ann(house: House) -> Iterator[TestClient]:
    """The admin's client of a running app."""
    with house.client("ann") as client:
        yield client


@pytest.fixture
def root(house: House) -> Iterator[TestClient]:
    """The fleet admin's, acting in the org acme."""
    with house.client("root") as client:
        client.headers["As-Org"] = "acme"
        yield client


Submit = Callable[..., dict[str, Any]]


@pytest.fixture
def submit(ann: TestClient) -> Submit:
    """Submits a plain ping, as ann."""

    def ask(identities: Sequence[str] = (), **more: Any) -> dict[str, Any]:
        wish = {"agent": "rpcutil", "action": "ping", "target": {"identities": identities}}
        answer = ann.post("/api/v1/jobs", json={**wish, **more})
        assert answer.status_code in {200, 202}, answer.text
        document: dict[str, Any] = answer.json()
        return document

    return ask
