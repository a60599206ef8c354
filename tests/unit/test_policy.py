"""Policy: what no rule allows is denied."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetjobs.errors import Denied, InvalidPolicy
from fleetjobs.policy import Policy, read_policy

POLICY = read_policy("""
[groups]
operators = ["alice", "team-*"]

[[rules]]
effect = "deny"
callers = ["team-interns"]
agents = ["*"]
actions = ["remove", "install"]

[[rules]]
effect = "allow"
callers = ["@operators", "root"]
agents = ["package", "service"]
actions = ["*"]
facts = ["os.family=Debian"]
classes = ["web"]

[[rules]]
effect = "allow"
callers = ["*"]
agents = ["rpcutil"]
actions = ["ping"]
signers = ["account:*"]
""")


def ask(policy: Policy, **parts: Any) -> None:
    policy.check(
        **{
            "caller": "alice",
            "signer": "account:alice",
            "agent": "package",
            "action": "remove",
            "facts": {"os": {"family": "Debian"}},
            "classes": {"web", "apache"},
            **parts,
        }
    )


def rule(**parts: object) -> str:
    """One rule as TOML, some of its parts replaced; None leaves a part out."""
    whole: dict[str, object] = {
        "effect": '"allow"',
        "callers": '["*"]',
        "agents": '["*"]',
        "actions": '["*"]',
        **parts,
    }
    lines = (f"{key} = {value}\n" for key, value in whole.items() if value is not None)
    return "[[rules]]\n" + "".join(lines)


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"caller": "team-a"},
        {"caller": "root", "agent": "service"},
        {"signer": "server"},
        {"caller": "team-interns", "action": "status"},
        {"caller": "mallory", "agent": "rpcutil", "action": "ping", "classes": set(), "facts": {}},
    ],
)
def test_what_a_rule_allows_passes(parts: dict[str, Any]) -> None:
    ask(POLICY, **parts)


@pytest.mark.parametrize(
    "parts",
    [
        {"caller": "mallory"},
        {"caller": "Alice"},
        {"caller": "alice2"},
        {"caller": "аlice"},  # noqa: RUF001  Cyrillic, on purpose
        {"caller": "@operators"},
        {"agent": "shell"},
        {"facts": {"os": {"family": "RedHat"}}},
        {"facts": {}},
        {"classes": {"db"}},
        {"agent": "rpcutil", "action": "ping", "signer": "server"},
    ],
)
def test_what_no_rule_allows_is_denied(parts: dict[str, Any]) -> None:
    with pytest.raises(Denied, match="no rule of the node's policy allows"):
        ask(POLICY, **parts)


def test_the_first_rule_that_fits_decides_and_is_named() -> None:
    with pytest.raises(Denied, match=r"rule 1 of the node's policy denies package\.remove"):
        ask(POLICY, caller="team-interns")


def test_without_rules_everything_is_denied() -> None:
    with pytest.raises(Denied):
        ask(read_policy(""))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("\n\nrules = ]", "line 3"),
        ("rules = 5", "rules"),
        ("rule = []", "unknown field `rule`"),
        (rule(effect=None), "effect"),
        (rule(effect='"permit"'), r"rules\[0\]\.effect"),
        (rule(callers=None), "callers"),
        (rule(agents=None), "agents"),
        (rule(actions=None), "actions"),
        (rule(callers="[]"), "callers"),
        (rule(callers='"alice"'), "callers"),
        (rule(callers='[""]'), "callers"),
        (rule(callers='["a b"]'), "callers"),
        (rule(callers='["[a-z]"]'), "callers"),
        (rule(caller='["x"]'), "unknown field `caller`"),
        (rule(callers='["@nobody"]'), "rule 1: there is no group 'nobody'"),
        (rule(facts='["os"]'), "rule 1: 'os' is not of the form"),
        (rule(classes='[""]'), "rule 1: ''"),
        (rule(classes='["/(/"]'), "rule 1: .*RE2"),
        ("[groups]\na = ['@b']\nb = ['x']\n" + rule(callers='["@a"]'), "cannot hold another"),
        (rule() + rule(effect='"deny"'), "rules 1 and 2 contradict each other"),
        (
            rule(actions='["a", "b"]') + rule() + rule(effect='"deny"', actions='["b", "a"]'),
            "rules 1 and 3 contradict",
        ),
        ("a = " + "[" * 10_000, "recursion"),
        ("#" * 2_000_000, "1048576 are allowed"),
    ],
    ids=lambda text: text[:40],
)
def test_a_file_that_cannot_be_trusted_is_refused_and_the_place_named(
    text: str, complaint: str
) -> None:
    with pytest.raises(InvalidPolicy, match=complaint):
        read_policy(text)


def test_saying_the_same_twice_is_no_contradiction() -> None:
    ask(read_policy(rule() + rule()))


@given(st.text(max_size=80) | st.text("[]rules=\"'{}\n#", max_size=80))
def test_any_text_is_a_policy_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidPolicy):
        read_policy(text)


@given(st.text(), st.text(), st.text(), st.text())
def test_nothing_passes_an_empty_policy(caller: str, signer: str, agent: str, action: str) -> None:
    with pytest.raises(Denied):
        ask(read_policy(""), caller=caller, signer=signer, agent=agent, action=action)
