"""Plans as people write them: short forms, parameters, and errors that name line and leg."""

from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetjobs.errors import InvalidInput, InvalidPlan, MissingInput
from fleetjobs.plans import markup
from fleetjobs.plans.documents import Leg, Pace, Plan
from fleetjobs.plans.markup import read_markup
from fleetjobs.plans.reading import WrittenPlan, read_plan
from fleetjobs.states import StartIf
from fleetjobs.targets import Target


def written(text: str) -> WrittenPlan:
    return read_plan(text, "p.yaml")


def plan(text: str, **given: Any) -> Plan:
    return written(text).fill(given)


def legs(made: Plan) -> dict[str, Leg]:
    return {leg.key: leg for leg in made.legs}


def needs(made: Plan) -> dict[str, list[str]]:
    return {leg.key: [need.leg for need in leg.needs] for leg in made.legs}


def test_legs_follow_one_another_unless_they_say_otherwise() -> None:
    made = plan(
        """
        legs:
          - make: {action: vm.make, data: {name: web1}}
          - action: vm.start
          - look: vm.status
          - vm.wait
          - key: tell
            agent: demo
            action: echo
            needs: []
          - last: {action: vm.stop, needs: [make, tell]}
        """
    )

    assert needs(made) == {
        "make": [],
        "start": ["make"],
        "look": ["start"],
        "wait": ["look"],
        "tell": [],
        "last": ["make", "tell"],
    }
    assert [f"{leg.agent}.{leg.action}" for leg in made.legs][:3] == [
        "vm.make",
        "vm.start",
        "vm.status",
    ]
    assert legs(made)["make"].data == {"name": "web1"}


def test_legs_can_be_a_mapping() -> None:
    made = plan("legs:\n  b: vm.make\n  a:\n    action: vm.start\n")

    assert needs(made) == {"b": [], "a": ["b"]}


@pytest.mark.parametrize(
    ("text", "when", "pace"),
    [
        ("", StartIf.SUCCEEDED, Pace.NODE),
        ("start_if: failed", StartIf.FAILED, Pace.NODE),
        ("start_if: null", StartIf.ALWAYS, Pace.NODE),
        ("needs: a:completed", StartIf.COMPLETED, Pace.NODE),
        ("needs: {a: failed}", StartIf.FAILED, Pace.NODE),
        ("needs: a, start_if: completed, pace: barrier", StartIf.COMPLETED, Pace.BARRIER),
        ("needs: {leg: a, when: always, pace: barrier}", StartIf.ALWAYS, Pace.BARRIER),
        ("needs: [{leg: a, when: failed}]", StartIf.FAILED, Pace.NODE),
    ],
)
def test_needs_say_how_the_leg_before_has_to_end(text: str, when: StartIf, pace: Pace) -> None:
    entry = f"{{action: vm.b, {text}}}" if text else "vm.b"

    (need,) = legs(plan(f"legs:\n  - a: vm.a\n  - b: {entry}\n"))["b"].needs

    assert (need.leg, need.when, need.pace) == ("a", when, pace)


def test_legs_in_a_group_run_beside_one_another() -> None:
    made = plan(
        """
        legs:
          - a: vm.a
          - check:
              max_failures: 1
              legs:
                - b: vm.b
                - c: vm.c
                - d: {action: vm.d, needs: c}
                - inner: {legs: [{e: vm.e}]}
          - f: vm.f
        """
    )

    assert needs(made) == {"a": [], "b": [], "c": [], "d": ["c"], "e": [], "f": ["check"]}
    assert [(one.key, one.group, one.max_failures) for one in made.groups] == [
        ("check", None, "1"),
        ("inner", "check", "0"),
    ]
    assert [need.leg for need in made.groups[0].needs] == ["a"]


@pytest.mark.spec("S2-14")
def test_legs_stand_in_the_order_of_their_ordering() -> None:
    text = """
        legs:
          - c: {action: vm.c, ordering: 30}
          - a: {action: vm.a, ordering: 10}
          - b: {action: vm.b, ordering: %s}
        """

    assert needs(plan(text % 20)) == {"a": [], "b": ["a"], "c": ["b"]}
    with pytest.raises(InvalidPlan, match=r"p.yaml:5: b has the ordering 30, as c has"):
        plan(text % 30)
    with pytest.raises(InvalidPlan, match=r"p.yaml:5: b needs a whole number as its ordering"):
        plan(text % "null")


def test_what_is_clear_may_be_short() -> None:
    made = plan(
        """
        target: {classes: web, facts: {os.name: Debian, virtual: true}, limit: 5}
        max_failures: 1
        legs:
          - a: {action: vm.a, rollout: {batch: 5, canary: 1}, max_failures: 2, weight: 3}
          - b: {action: vm.b, target: {identities: hv1}, retry_mode: rollback_to, rollback_to: a}
        """
    )

    assert made.target == Target(
        classes=("web",), facts=("os.name=Debian", "virtual=true"), limit="5"
    )
    assert made.legs[0].rollout is not None
    assert (made.legs[0].rollout.batch, made.legs[0].max_failures) == ("5", "2")
    assert made.legs[1].target == Target(identities=("hv1",))
    assert made.legs[1].rollback_to == ("a",)


PARAMS = """\
params:
  name: {description: who}
  size: {type: integer, default: 10}
  image: {choices: [small, large], default: small}
  tags: {type: array, default: [a]}
  note: {required: false}
  fast: true
legs:
  - make:
      action: vm.make
      retries: ${params.size}
      target: {identities: ["${params.name}"]}
      data:
        name: ${params.name}
        text: "${params.name}: ${params.size} ${params.fast} $${params.name}"
        list: ["${params.tags}", "${params.image}", "${params.note}"]
"""


def test_parameters_are_put_in_with_their_types() -> None:
    (leg,) = plan(PARAMS, name="web1").legs

    assert leg.data == {
        "name": "web1",
        "text": "web1: 10 true $${params.name}",
        "list": [["a"], "small", None],
    }
    assert (leg.retries, leg.target) == (10, Target(identities=("web1",)))


def test_what_is_put_in_is_never_read_for_references() -> None:
    (leg,) = plan(PARAMS.replace("target:", "#"), name="${legs.make.data}", tags=["${x}"]).legs

    assert leg.data["name"] == "$${legs.make.data}"
    assert leg.data["list"][0] == ["$${x}"]


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({}, MissingInput, "needs the parameter name: who"),
        ({"name": "x", "siz": 1}, InvalidInput, "no parameter 'siz'; did you mean size?"),
        ({"name": "x", "size": "many"}, InvalidInput, "size must be a whole number"),
        ({"name": "x", "image": "huge"}, InvalidInput, "image must be one of small, large"),
        ({"name": "x", "tags": "a"}, InvalidInput, "tags must be an array"),
    ],
)
def test_parameters_are_checked_as_inputs_are(
    given: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        written(PARAMS).fill(given)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("legs: [{a: {action: vm.a, data: {x: '${params.y}'}}}]", "p.yaml:1: .*no parameter 'y'"),
        ("params: [a]\nlegs: [{a: vm.a}]", "p.yaml:1: params has names"),
        ("params: {1a: x}\nlegs: [{a: vm.a}]", "p.yaml:1: '1a' cannot be the name"),
        ("params:\n  a: {tpye: x}\nlegs: [{a: vm.a}]", "p.yaml:2: parameter a: .*tpye"),
        (
            "params:\n  a: {type: integer, default: x}\nlegs: [{a: vm.a}]",
            "p.yaml:2: parameter a: .*default does not fit",
        ),
        (
            "params: {a: [1]}\nlegs:\n  - a:\n      action: vm.a\n      data: {x: 'a ${params.a}'}",
            "p.yaml:5: .*is array, which cannot stand inside a text",
        ),
    ],
)
def test_parameters_that_make_no_sense_are_refused(text: str, said: str) -> None:
    with pytest.raises(InvalidPlan, match=said):
        plan(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "p.yaml: there is nothing in it"),
        ("legs:\n\t- a: vm.a", "p.yaml:2: a tab; lines are indented by spaces"),
        ("[]", "p.yaml:1: a plan has legs"),
        ("name: x", "p.yaml:1: a plan has legs"),
        ("legs: []", "p.yaml:1: legs is a list of legs, with one at least"),
        ("legs: 7", "p.yaml:1: legs is a list"),
        ("legs:\n  - a: vm.a\nnmae: x", "p.yaml:3: a plan has no 'nmae'; there are description"),
        ("name: [x]\nlegs: [{a: vm.a}]", "p.yaml:1: name is a text"),
        (
            "on_failure: panic\nlegs: [{a: vm.a}]",
            "p.yaml:1: on_failure is none of fail, pause, rollback, continue: panic",
        ),
        (
            "legs: [{a: vm.a}]\ntarget: {classe: web}",
            "p.yaml:2: target has no .classe.; did you mean classes",
        ),
        ("legs: [{a: vm.a}]\ntarget: {facts: '=x'}", "p.yaml:2: "),
        ("legs:\n  - a: vm.a\n  - b: {target: {identities: 'x y'}, action: a.b}", "p.yaml:3: b: "),
        ("legs:\n  - 7", "p.yaml:2: a leg has an action"),
        ("legs:\n  - data: {a: b}\n    needs: x", "p.yaml:2: a leg has an action"),
        ("legs:\n  - a: {data: {}}", "p.yaml:2: a: action is written agent.action"),
        ("legs:\n  - a: {action: vm}", "p.yaml:2: a: action is written agent.action"),
        ("legs:\n  - a:\n      action: vm.a\n      retrys: 3", "p.yaml:4: a has no 'retrys'; did"),
        (
            "legs:\n  - a:\n      action: vm.a\n      retries: x",
            "p.yaml:4: a: retries is a whole number, not a text",
        ),
        ("legs:\n  - a: {action: vm.a, needs: b}", "p.yaml:2: a needs 'b', which does not exist"),
        ("legs:\n  - a: {action: vm.a, needs: 7}", "p.yaml:2: a needs the keys of legs"),
        (
            "legs:\n  - a: {action: vm.a, needs: [b:never]}",
            "p.yaml:2: a: when is none of .*: never",
        ),
        ("legs:\n  - a: {action: vm.a, start_if: oddly}", "p.yaml:2: a: when is none of .*: oddly"),
        ("legs:\n  - a: {action: vm.a, pace: fast}", "a: pace is none of node, barrier: fast"),
        ("legs:\n  - a: {acton: vm.a}", "p.yaml:2: a has no 'acton'; did you mean action"),
        (
            "legs:\n  - a: {action: vm.a, undo: never}",
            "a: undo is {action: …, data: …}, or nothing",
        ),
        ("legs:\n  - a: {action: vm.a, undo: {data: {}}}", "a: undo lacks action"),
        ("legs:\n  - a: {action: vm.a, weight: -1}", "a: weight is a number > 0.0"),
        (
            "legs:\n  - a: {action: vm.a, rollout: {batch: ten}}",
            "rollout.batch is a number or a perc",
        ),
        (
            "legs:\n  - a: {action: vm.a, rollout: {odd: 1}}",
            "rollout has no 'odd'; there are batch",
        ),
        (
            "legs:\n  - a: {action: vm.a, not_before: soon}",
            "not_before is a time with its zone, such",
        ),
        ("legs:\n  - a: vm.a\n  - a: vm.b", "the key a is there twice"),
        ("legs:\n  - a: vm.a\n  - a: {action: vm.b, key: c}", "p.yaml:3: a has a second key, 'c'"),
        ("legs:\n  - g: {legs: [{a: vm.a}], weight: 3}", "p.yaml:2: g has no 'weight'"),
        ("legs:\n  - g:\n      legs: []", "p.yaml:3: legs is a list"),
        ("legs:\n  - a b: vm.a", "p.yaml:2: a b: key begins with a letter"),
        (
            "legs:\n  - a:\n      action: vm.a\n      action: vm.b",
            "p.yaml:4: 'action' is there twice",
        ),
        ("legs: [{a: *x}]", "p.yaml:1: an alias"),
        ("legs: [{a: &x vm.a}, {b: *x}]", "p.yaml:1: an alias"),
        ("legs: !!python/name:os.system [a]", "p.yaml:1: a tag"),
        ("legs:\n  - a: {<<: {}}", "p.yaml:2: a merge"),
        ("legs: [{a: vm.a}]\n---\nlegs: []", "p.yaml:3: a second document"),
        ("legs: [", "p.yaml:[12]: "),
        ("legs: [{a: {action: vm.a, data: {x: 1e999}}}]", "p.yaml:1: 1e999 is too large"),
        (f"legs: [{{a: {{action: vm.a, data: {{x: {10**30}}}}}}}]", "beyond 64 bits"),
        ("[" * 100_000, "nested deeper than 64"),
        ("? [a]\n: b", "p.yaml:1: a name has to be a word"),
        ("a: \0", "p.yaml"),
        (
            "legs:\n  - a: {action: vm.a, data: {x: '${legs.b.data.y}'}}\n  - b: vm.b",
            "p.yaml:2: a refers to b, which does not come before it",
        ),
    ],
)
def test_mistakes_are_named_with_line_and_leg(text: str, said: str) -> None:
    with pytest.raises(InvalidPlan, match=said):
        plan(text)


def test_groups_in_one_another_without_end_are_refused() -> None:
    text = "legs: [" + "{g: {legs: [" * 12 + "{a: vm.a}" + "]}}" * 12 + "]"
    with pytest.raises(InvalidPlan, match="the key g is there twice"):
        plan(text)
    with pytest.raises(InvalidPlan, match="nested deeper"):
        plan("legs: [" + "{g: {legs: [" * 40 + "{a: vm.a}" + "]}}" * 40 + "]")


def test_a_text_that_is_too_long_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markup, "LIMIT", 10)
    with pytest.raises(InvalidPlan, match=r"p.yaml: 11 characters are too long"):
        plan("legs: [aaa]")


def test_words_are_what_they_look_like() -> None:
    """No country becomes false, and no time a number."""
    text = "[yes, No, off, 0o17, 010, 1_000, 12:30:45, 2026-12-01, .5, =, 1.10.2, 'true', \"1\"]"

    assert read_markup(text, "p").value == yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506
    assert read_markup("[1, -2, 1.5, 1e3, true, False, null, ~, NULL]", "p").value == [
        1,
        -2,
        1.5,
        1000.0,
        True,
        False,
        None,
        None,
        None,
    ]


def test_the_document_that_programs_exchange_can_be_read_back() -> None:
    made = plan("legs: [{a: vm.a}, {g: {legs: [{b: vm.b}]}}, {c: {action: vm.c, needs: []}}]")

    text = msgspec.json.encode(made).decode()

    assert plan(text) == made
    with pytest.raises(InvalidPlan, match=r"p.yaml: .*`key`"):
        plan('{"legs": [{"agent": "vm", "action": "a"}]}')


@settings(deadline=None)
@given(st.text(alphabet="legs:-{}[]ab.,&*!'\"#|>\n ${}paramsx0", max_size=200))
def test_whatever_is_written_is_a_plan_or_refused(text: str) -> None:
    for tried in (text, f"legs:\n  - a: {{action: vm.a, data: {{x: {text}}}}}"):
        try:
            plan(tried)
        except (InvalidPlan, InvalidInput, MissingInput):
            continue
