"""Node lists: whoever wrote them."""

import contextlib
import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fleetjobs.errors import InvalidTarget, NoNodes
from fleetjobs.nodelists import LONGEST, read_identities

NAMES = ("web1", "db1.example.org", "@controller")
ENTRIES: list[dict[str, Any]] = [{"sender": name, "statuscode": 0} for name in NAMES]


@pytest.mark.parametrize(
    "text",
    [
        "web1\ndb1.example.org\n@controller\n",
        "\ufeffweb1\r\ndb1.example.org\r\n@controller",
        "# ours\n\n web1 # the first\ndb1.example.org\n@controller\nweb1\n",
        json.dumps(NAMES),
        json.dumps(ENTRIES),
        json.dumps([{"node": name, "state": "failed"} for name in NAMES], indent=2),
        json.dumps([{"identity": name} for name in NAMES]),
        json.dumps({"items": ENTRIES, "next": None}),
        json.dumps({"job": "x", "replies": ENTRIES}),
        json.dumps({"nodes": NAMES}),
        "\n".join(json.dumps(entry) for entry in ENTRIES),
        yaml.safe_dump([str(name) for name in NAMES]),
        yaml.safe_dump({"nodes": ENTRIES}),
        "--- # ours\n" + yaml.safe_dump(ENTRIES),
    ],
)
def test_names_are_found(text: str) -> None:
    assert read_identities(text) == NAMES


def test_one_reply_alone_is_a_list_of_one() -> None:
    assert read_identities('{"sender": "web1", "data": {}}') == ("web1",)


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing", "[]", '{"items": []}', "nodes: []"])
def test_no_name_is_refused_for_it_would_mean_every_node(text: str) -> None:
    with pytest.raises(NoNodes, match="names no node"):
        read_identities(text)


@pytest.mark.parametrize(
    "text",
    [
        "web1,web2",
        "web 1",
        "wéb1",
        "web1\0",
        "[",
        "{",
        "{}",
        '["web1", 5]',
        '["web1", null]',
        '[{"name": "web1"}]',
        '{"items": "web1"}',
        "[" * 100_000,
        "- a\n- [b",
        "- web1\n- - web2\n",
        "- !!python/object/apply:os.system [reboot]\n",
        "- " * 5_000 + "a",
        "../../etc/passwd",
    ],
    ids=lambda text: repr(text)[:30],
)
def test_what_names_no_node_is_refused(text: str) -> None:
    with pytest.raises(InvalidTarget):
        read_identities(text)


def test_too_many_names_are_refused() -> None:
    with pytest.raises(InvalidTarget, match="100001 names"):
        read_identities("\n".join(f"n{number}" for number in range(100_001)))


def test_a_text_without_end_is_refused_unread() -> None:
    with pytest.raises(InvalidTarget, match="characters"):
        read_identities("#" * (LONGEST + 1))


@given(st.text(max_size=60) | st.text("-[]{}:\"' \nab&*!", max_size=60))
def test_any_text_is_a_node_list_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidTarget, NoNodes):
        read_identities(text)
