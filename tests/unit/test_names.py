"""Names: of jobs and nodes."""

import string
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetjobs.errors import InvalidDocument
from fleetjobs.names import NODE_ID, job_id, node_id
from fleetjobs.targets import NAME

IDENTITY = string.ascii_letters + string.digits + "._-"


@given(st.uuids())
def test_a_uuid_in_lower_case_is_a_job_id(value: uuid.UUID) -> None:
    assert job_id(str(value)) == str(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "01890000-0000-7000-8000-00000000000A",
        "01890000-0000-7000-8000-000000000000\n",
        "{01890000-0000-7000-8000-000000000000}",
        "../../etc/passwd",
    ],
)
def test_anything_else_is_no_job_id(text: str) -> None:
    with pytest.raises(InvalidDocument, match="not a job id"):
        job_id(text)


@given(st.text(IDENTITY, max_size=127).map(lambda rest: "w" + rest))
def test_letters_digits_dots_and_dashes_name_a_node(text: str) -> None:
    assert node_id(text) == text


@pytest.mark.parametrize("text", ["@controller", "web1.example.org", "X"])
def test_these_name_nodes(text: str) -> None:
    assert node_id(text) == text


@pytest.mark.parametrize(
    "text", ["", ".", "..", "-rf", "a/b", "web1\n", "web\0", "wéb1", "web 1", "w" * 129]
)
def test_what_no_file_could_be_called_names_no_node(text: str) -> None:
    """Identities become names of queues and directories."""
    with pytest.raises(InvalidDocument, match="not a node identity"):
        node_id(text)


def test_targets_and_jobs_agree_on_what_a_node_can_be_called() -> None:
    assert NODE_ID.pattern == NAME.pattern
