"""Rights, decided without a database."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetjobs.access import NEEDS, Effect, Grant, Rights, Role, Verb
from fleetjobs.targets import Target

ACTIONS = ("package.status", "package.update", "service.restart")
PATTERNS = (*ACTIONS, "*", "package.*", "*.status")
WEB = Target(classes=("web",))
DB = Target(identities=("db1",))


def node(name: str, *classes: str) -> Any:
    return SimpleNamespace(
        identity=name, org="acme", facts={}, classes=frozenset(classes), agents={}
    )


NODES = (node("web1", "web"), node("db1"), None)


def make_grant(effect: Effect, *actions: str, verbs: Any = (), target: Any = None) -> Grant:
    return Grant(id="1", effect=effect, verbs=frozenset(verbs), actions=actions, target=target)


def make_rights(role: Role, *grants: Grant, **more: Any) -> Rights:
    return Rights(account="ann", org="acme", role=role, grants=grants, **more)


def may(rights: Rights, verb: Verb, action: str, where: Any = None, **more: Any) -> bool:
    return rights.refusal(verb, action, where, **more) is None


grants = st.builds(
    Grant,
    id=st.just("1"),
    effect=st.sampled_from(Effect),
    verbs=st.frozensets(st.sampled_from(Verb), max_size=3),
    actions=st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=2).map(tuple),
    target=st.sampled_from((None, WEB, DB)),
)
many = st.lists(grants, max_size=4).map(tuple)
asked = (st.sampled_from(Verb), st.sampled_from(ACTIONS), st.sampled_from(NODES))


@given(many, st.permutations(Role), *asked)
def test_a_higher_role_may_all_that_a_lower_one_may(
    held: tuple[Grant, ...], roles: list[Role], verb: Verb, action: str, where: Any
) -> None:
    lower, higher = sorted(roles[:2], key=list(Role).index)

    if may(make_rights(lower, *held), verb, action, where):
        assert may(make_rights(higher, *held), verb, action, where)


@given(many, st.sampled_from(Role), *asked)
def test_what_is_denied_nothing_allows(
    held: tuple[Grant, ...], role: Role, verb: Verb, action: str, where: Any
) -> None:
    deny = make_grant(Effect.DENY, action, verbs=[verb])

    assert not may(make_rights(role, *held, deny), verb, action, where)
    assert not may(make_rights(role, deny, *held), verb, action, where)


@given(many, grants, st.sampled_from(Role), *asked)
def test_one_more_denial_never_opens_anything(
    held: tuple[Grant, ...], more: Grant, role: Role, verb: Verb, action: str, where: Any
) -> None:
    deny = make_grant(Effect.DENY, *more.actions, verbs=more.verbs, target=more.target)

    if may(make_rights(role, *held, deny), verb, action, where):
        assert may(make_rights(role, *held), verb, action, where)


@given(many, *asked)
def test_grants_never_raise_anyone_above_their_role(
    held: tuple[Grant, ...], verb: Verb, action: str, where: Any
) -> None:
    if may(make_rights(Role.VIEWER, *held), verb, action, where):
        assert NEEDS[verb] is Role.VIEWER


@given(many, *asked)
def test_the_disabled_may_nothing(
    held: tuple[Grant, ...], verb: Verb, action: str, where: Any
) -> None:
    assert not may(make_rights(Role.FLEET_ADMIN, *held, is_disabled=True), verb, action, where)


@given(many, *asked)
def test_a_node_is_only_looked_at_where_a_grant_names_some(
    held: tuple[Grant, ...], verb: Verb, action: str, where: Any
) -> None:
    rights = make_rights(Role.EDITOR, *held)

    if not rights.asks_nodes(verb, action):
        assert may(rights, verb, action, where) == may(rights, verb, action, None)


@pytest.mark.parametrize(
    ("role", "able"),
    [
        (Role.VIEWER, {Verb.VIEW_LOG}),
        (Role.OPERATOR, {Verb.VIEW_LOG, Verb.RUN, Verb.CANCEL}),
        (Role.EDITOR, set(Verb)),
        (Role.ADMIN, set(Verb)),
        (Role.FLEET_ADMIN, set(Verb)),
    ],
)
def test_without_grants_the_role_alone_decides(role: Role, able: set[Verb]) -> None:
    assert {verb for verb in Verb if may(make_rights(role), verb, "package.update")} == able


def test_what_is_allowed_narrows_that_verb_alone() -> None:
    rights = make_rights(Role.OPERATOR, make_grant(Effect.ALLOW, "package.*", verbs=[Verb.RUN]))

    assert may(rights, Verb.RUN, "package.update")
    assert not may(rights, Verb.RUN, "service.restart")
    assert may(rights, Verb.CANCEL, "service.restart")


def test_a_grant_holds_on_its_nodes_alone() -> None:
    rights = make_rights(Role.OPERATOR, make_grant(Effect.ALLOW, "*", target=WEB))

    assert may(rights, Verb.RUN, "package.update", node("web1", "web"))
    assert not may(rights, Verb.RUN, "package.update", node("db1"))


def test_only_a_fleet_admin_acts_in_other_orgs() -> None:
    assert not may(make_rights(Role.ADMIN), Verb.RUN, "package.update", org="other")
    assert may(make_rights(Role.FLEET_ADMIN), Verb.RUN, "package.update", org="other")


@pytest.mark.parametrize(
    ("rights", "why"),
    [
        (make_rights(Role.VIEWER), "ann is a viewer; run takes an operator"),
        (make_rights(Role.OPERATOR, is_disabled=True), "the account ann is disabled"),
        (
            make_rights(Role.OPERATOR, make_grant(Effect.DENY, "package.*")),
            "grant 1 denies ann to run package.update on web1",
        ),
        (
            make_rights(Role.OPERATOR, make_grant(Effect.ALLOW, "service.*")),
            "no grant allows ann to run package.update on web1",
        ),
    ],
)
def test_a_refusal_says_what_is_in_the_way(rights: Rights, why: str) -> None:
    assert rights.refusal(Verb.RUN, "package.update", node("web1", "web")) == why
