"""Targets: which nodes are picked, and what is refused."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetjobs.errors import InvalidTarget, NoNodes
from fleetjobs.names import NodeId
from fleetjobs.nodes import Node
from fleetjobs.targets import Target, make_target, matches, pick


def make_node(identity: str, **fields: Any) -> Node:
    return Node(
        **{
            "identity": NodeId(identity),
            "org": "acme",
            "facts": {"os": {"family": "Debian"}},
            "classes": frozenset({"web"}),
            "agents": {"rpcutil": "1.0.0"},
            "software": "0.1.0",
            "seen_at": None,
            "started_at": None,
            "running": 0,
            "waiting": 0,
            **fields,
        }
    )


WEB = [make_node(f"web{number}", facts={"number": number}) for number in (3, 1, 2)]
DB = make_node("db1", classes=frozenset({"db"}), agents={"rpcutil": "1.0.0", "package": "2.0.0"})
FLEET = [*WEB, DB]


def test_an_empty_target_means_everything() -> None:
    assert pick(make_target(), FLEET) == ["db1", "web1", "web2", "web3"]


@pytest.mark.parametrize(
    ("parts", "names"),
    [
        ({"identities": ["web2", "web1", "web2"]}, ["web1", "web2"]),
        ({"identities": ["/^web[12]$/", "db1"]}, ["db1", "web1", "web2"]),
        ({"facts": ["number>1"]}, ["web2", "web3"]),
        ({"facts": ["number>1", "number<3"]}, ["web2"]),
        ({"classes": ["db"]}, ["db1"]),
        ({"classes": ["/^w/"]}, ["web1", "web2", "web3"]),
        ({"agents": ["package", "rpcutil"]}, ["db1"]),
        ({"compound": "web and not number=2"}, ["web1", "web3"]),
        ({"classes": ["web"], "identities": ["/1$/"]}, ["web1"]),
        ({"org": "acme", "identities": ["db1"]}, ["db1"]),
        ({"limit": 2}, ["db1", "web1"]),
        ({"limit": "100"}, ["db1", "web1", "web2", "web3"]),
        ({"limit": "50%"}, ["db1", "web1"]),
        ({"limit": "1%"}, ["db1"]),
        ({"limit": "1", "classes": ["web"]}, ["web1"]),
    ],
)
def test_all_parts_must_hold(parts: dict[str, Any], names: list[str]) -> None:
    target = make_target(**parts)

    assert pick(target, FLEET) == names
    if target.limit is None:
        assert sorted(node.identity for node in FLEET if matches(target, node)) == names


def test_a_random_pick_is_the_same_for_the_same_seed() -> None:
    fleet = [make_node(f"n{number:03}") for number in range(200)]
    target = make_target(limit="10%", method="random", seed=7)

    picked = pick(target, fleet)

    assert len(picked) == 20
    assert picked == sorted(picked) == pick(target, fleet[::-1])
    assert picked != pick(make_target(limit="10%", method="random", seed=8), fleet)


def test_unknown_nodes_are_named() -> None:
    with pytest.raises(NoNodes, match="no such node: web8, web9"):
        pick(make_target(identities=["web1", "web9", "web8"]), FLEET)


def test_many_unknown_nodes_are_counted() -> None:
    with pytest.raises(NoNodes, match="x12 and 95 more"):
        pick(make_target(identities=[f"x{number}" for number in range(100)]), FLEET)


def test_a_name_in_another_case_is_unknown_and_the_right_one_told() -> None:
    with pytest.raises(NoNodes, match=r"WEB1 \(but web1 is\)"):
        pick(make_target(identities=["WEB1"]), FLEET)


@pytest.mark.parametrize(
    "parts", [{"classes": ["mail"]}, {"identities": ["/^x/"]}, {"org": "other"}, {"agents": ["x"]}]
)
def test_a_target_that_means_no_node_is_refused(parts: dict[str, Any]) -> None:
    with pytest.raises(NoNodes, match="picks none of 4 nodes"):
        pick(make_target(**parts), FLEET)


@pytest.mark.parametrize(
    "parts",
    [
        {"identities": [""]},
        {"identities": ["web1\n"]},
        {"identities": ["web\0"]},
        {"identities": ["wéb1"]},
        {"identities": ["web1,web2"]},
        {"identities": ["web*"]},
        {"identities": ["//"]},
        {"identities": ["/web"]},
        {"identities": ["/(/"]},
        {"identities": ["'; drop table nodes"]},
        {"identities": [f"/{number}/" for number in range(101)]},
        {"identities": [f"n{number}" for number in range(100_001)]},
        {"facts": [""]},
        {"facts": ["os"]},
        {"facts": ["os=a\0b"]},
        {"facts": ["os=\ud800"]},
        {"facts": [f"a={number}" for number in range(101)]},
        {"classes": [""]},
        {"classes": [" web"]},
        {"classes": ["/[/"]},
        {"agents": [""]},
        {"agents": ["../x"]},
        {"agents": ["Rpcutil"]},
        {"compound": ""},
        {"compound": "a\0"},
        {"limit": "0"},
        {"limit": "-1"},
        {"limit": "0%"},
        {"limit": "101%"},
        {"limit": "1.5%"},
        {"limit": "ten"},
        {"limit": "٣"},
        {"limit": "5\n"},
        {"method": "last"},
        {"seed": 2**64},
    ],
    ids=lambda parts: repr(parts)[:40],
)
@pytest.mark.timeout(10)
def test_what_cannot_be_meant_is_refused(parts: dict[str, Any]) -> None:
    with pytest.raises(InvalidTarget):
        make_target(**parts)


def test_a_target_off_the_wire_is_checked_as_well() -> None:
    """A request carries a Target that nobody made by make_target."""
    with pytest.raises(InvalidTarget):
        pick(Target(compound="("), FLEET)
    with pytest.raises(InvalidTarget):
        matches(Target(limit="0"), DB)


def test_a_hundred_thousand_names_are_picked_in_seconds() -> None:
    names = [f"node{number:06}.example.org" for number in range(100_000)]
    fleet = [make_node(name) for name in names]

    assert pick(make_target(identities=names), fleet) == names


@pytest.mark.timeout(10)
def test_a_pattern_that_explodes_elsewhere_is_harmless() -> None:
    fleet = [make_node("a" * 100 + str(number)) for number in range(100)]

    with pytest.raises(NoNodes):
        pick(make_target(identities=["/^(a+)+b$/"]), fleet)


texts = st.text(max_size=15) | st.sampled_from(["/a/", "a=1", "web1", "5%", "random", "a and b"])
lists = st.lists(texts, max_size=3)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "identities": lists,
            "facts": lists,
            "classes": lists,
            "agents": lists,
            "compound": texts,
            "org": texts,
            "limit": texts | st.integers(),
            "method": texts,
            "seed": st.integers(),
        },
    )
)
def test_any_texts_are_a_target_or_refused(parts: dict[str, Any]) -> None:
    with contextlib.suppress(InvalidTarget, NoNodes):
        pick(make_target(**parts), FLEET)


@given(st.lists(st.sampled_from(["web1", "web2", "web3", "db1"]), min_size=1), st.integers(1, 5))
def test_a_limit_takes_away_and_never_adds(names: list[str], limit: int) -> None:
    everything = pick(make_target(identities=names), FLEET)

    limited = pick(make_target(identities=names, limit=limit), FLEET)

    assert limited == everything[:limit]
