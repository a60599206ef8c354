"""The interface keeps what its OpenAPI document promises, whatever it is asked."""

import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi.checks import (
    ignored_auth,
    negative_data_rejection,
    positive_data_acceptance,
)

from tests.api_house import NODES, House, make_house
from tests.tables import sqlite_url

DOCUMENT = json.loads((Path(__file__).parents[2] / "docs" / "openapi.json").read_text())
OPERATIONS = [
    pytest.param(method, path, mode, id=f"{mode.value} {method} {path}")
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
    for mode in schemathesis.GenerationMode
    if mode.is_positive or "parameters" in operation or "requestBody" in operation
]
EXAMPLES = 15
NOT_CHECKED = [
    ignored_auth,  # the token is ours to give; tests/unit/api has it
    positive_data_acceptance,  # what fits the document may still name an unknown agent
    negative_data_rejection,  # takes an extra parameter that is an empty list for one
]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A server with an ended job, for all cases."""
    directory: Path = tmp_path_factory.mktemp("api")
    made = make_house(sqlite_url(directory))
    wish = {"agent": "rpcutil", "action": "ping"}
    job = made.client().post("/api/v1/jobs", json=wish).json()["id"]
    made.reply(job, *NODES)
    ending = threading.Event()
    nodes = threading.Thread(target=_answer, args=(made, ending))
    nodes.start()
    yield made
    ending.set()
    nodes.join()
    made.database.close()


def _answer(house: House, ending: threading.Event) -> None:
    """Be the nodes that are asked."""
    while not ending.is_set():
        with contextlib.suppress(AssertionError):
            house.answer(within=0.2)


@pytest.fixture(scope="module")
def described(house: House) -> schemathesis.BaseSchema:
    """Its document, as the server gives it."""
    return schemathesis.openapi.from_asgi("/api/v1/openapi.json", house.app)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "path", "mode"), OPERATIONS)
def test_every_answer_is_as_documented(
    house: House,
    described: schemathesis.BaseSchema,
    method: str,
    path: str,
    mode: schemathesis.GenerationMode,
) -> None:
    """Status, type and shape, for requests as documented and for others; never a 5xx."""
    headers = {"Authorization": f"Bearer {house.tokens['ann']}"}
    (job,) = house.client().get("/api/v1/jobs", params={"state": "succeeded"}).json()["items"]
    known = {"job": job["id"], "node": "web1", "name": "rpcutil"}
    strategy = described[path][method].as_strategy(generation_mode=mode)

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def check(case: schemathesis.Case) -> None:
        if mode.is_positive:  # made-up names alone would all end in 404
            parts = case.path_parameters or {}
            parts.update({name: known[name] for name in parts.keys() & known.keys()})
        case.call_and_validate(headers=headers, excluded_checks=NOT_CHECKED)

    check()
