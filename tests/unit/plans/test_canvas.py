"""Canvases as Celery itself composes and keeps them, read as plans: honoured or refused by name."""

import inspect
import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import Celery, Signature, chain, chord, group
from celery.app.task import extract_exec_options
from celery.canvas import chunks, xmap, xstarmap
from hypothesis import given, settings
from hypothesis import strategies as st
from kombu.utils.json import dumps

from fleetjobs.errors import InvalidPlan
from fleetjobs.plans.canvas import read_canvas
from fleetjobs.plans.documents import Leg, Plan
from fleetjobs.plans.options import HONOURED, REFUSED
from fleetjobs.plans.shapes import arrange
from fleetjobs.targets import Target

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def sig(name: str, /, **inputs: Any) -> Any:
    """A signature, as `rpcclient(...).action.s()` makes them."""
    return Signature(f"vm.{name}", kwargs=inputs)


def read(canvas: Any, **fields: Any) -> Plan:
    """The plan of a canvas that went through Celery's own JSON."""
    made = read_canvas(json.loads(dumps(canvas)), now=NOW, **fields)
    arrange(made)
    return made


def legs(plan: Plan) -> dict[str, Leg]:
    return {leg.key: leg for leg in plan.legs}


def lines(plan: Plan) -> list[str]:
    """The legs and groups in short: `key [in group] <- need[:when][*]`; * waits for all nodes."""
    return [
        " ".join(
            [
                part.key,
                *([f"in {part.group}"] if part.group else []),
                *(["<-"] if part.needs else []),
                *(
                    need.leg
                    + ("" if need.when == "succeeded" else f":{need.when}")
                    + ("*" if need.pace == "barrier" else "")
                    for need in part.needs
                ),
            ]
        )
        for part in (*plan.groups, *plan.legs)
    ]


def test_a_chain_is_legs_that_need_one_another_each_node_at_its_own_pace() -> None:
    made = read(chain(sig("make", name="x"), sig("write"), sig("start")))

    assert lines(made) == ["make", "write <- make", "start <- write"]
    assert legs(made)["make"].data == {"name": "x"}
    assert legs(made)["make"].agent == "vm"


def test_a_group_in_a_chain_is_waited_for_as_a_whole() -> None:
    """Celery makes a chord of it by itself."""
    made = read(chain(sig("a"), group(sig("b"), sig("c")), sig("d"), sig("e")))

    assert lines(made) == [
        "header <- a",
        "a",
        "b in header",
        "c in header",
        "d <- header*",
        "e <- d",
    ]


def test_a_chord_and_the_same_written_with_bars_are_the_same_plan() -> None:
    header = [sig("b"), sig("c")]

    assert lines(read(chord(header, sig("d")))) == [
        "header",
        "b in header",
        "c in header",
        "d <- header*",
    ]
    assert read(chord(header, sig("d"))) == read(group(header) | sig("d"))
    assert lines(read(sig("a") | chord(header, sig("d")) | sig("e"))) == lines(
        read(chain(sig("a"), group(header), sig("d"), sig("e")))
    )


def test_all_of_a_group_waits_for_all_of_the_group_before() -> None:
    made = read(group(sig("a"), sig("b")) | group(sig("c"), sig("d")))

    assert lines(made) == [
        "header",
        "group <- header*",
        "a in header",
        "b in header",
        "c in group",
        "d in group",
    ]


def test_chains_run_beside_one_another_in_a_group() -> None:
    made = read(chord([chain(sig("a"), sig("b")), chain(sig("c"), sig("d"))], sig("e")))

    assert lines(made)[1:] == [
        "a in header",
        "b in header <- a",
        "c in header",
        "d in header <- c",
        "e <- header*",
    ]


def test_canvases_nest() -> None:
    inner = chain(sig("b"), group(sig("c"), sig("d")), sig("e"))

    made = read(chain(sig("a"), group(inner, sig("f")), sig("g")))

    assert lines(made) == [
        "header <- a",
        "header_2 in header <- b",
        "a",
        "b in header",
        "c in header_2",
        "d in header_2",
        "e in header <- header_2*",
        "f in header",
        "g <- header*",
    ]


def test_a_group_of_one_is_that_one_and_an_empty_one_is_nothing() -> None:
    assert lines(read(chain(sig("a"), group(sig("b")), sig("c")))) == ["a", "b <- a", "c <- b"]
    assert lines(read(chain(sig("a"), group(), sig("c")))) == ["a", "c <- a"]
    for nothing in (group(), chain()):
        with pytest.raises(InvalidPlan, match="no task in the canvas"):
            read(nothing)


def test_keys_are_the_actions_numbered_or_given() -> None:
    made = read(chain(sig("a"), sig("a"), sig("a").set(key="third"), sig("a")))

    assert [leg.key for leg in made.legs] == ["a", "a_2", "third", "a_3"]
    with pytest.raises(InvalidPlan, match="the key x is there twice"):
        read(chain(sig("a").set(key="x"), sig("b").set(key="x")))


def test_immutable_signatures_are_the_same_for_nothing_is_ever_prepended() -> None:
    first = Signature("vm.a", immutable=True)

    assert read(chain(first, sig("b"))) == read(chain(sig("a"), sig("b")))


def test_times_and_retries_are_honoured() -> None:
    eta = NOW + timedelta(hours=1)
    one = sig("a").set(countdown=4, eta=eta, expires=eta + timedelta(hours=1), retries=3)

    leg = legs(read(one))["a"]

    assert (leg.delay_s, leg.not_before, leg.retries) == (4, eta, 3)
    assert leg.start_before == eta + timedelta(hours=1)
    assert legs(read(sig("a").set(expires=60)))["a"].start_before == NOW + timedelta(seconds=60)
    assert legs(read(sig("a").set(eta="2030-01-01T00:00:00+01:00")))["a"].not_before == datetime(
        2029, 12, 31, 23, tzinfo=UTC
    )


@pytest.mark.parametrize(
    ("canvas", "said"),
    [
        (sig("a").set(eta=datetime(2030, 1, 1)), "vm.a: eta has no zone"),  # noqa: DTZ001
        (sig("a").set(eta="tomorrow"), "vm.a: eta is no time"),
        (sig("a").set(expires=1e300), "too far away"),
        (chain(sig("a"), sig("b").set(expires=5)), "vm.b: expires=5 would count from the end"),
        (sig("a").set(countdown=-1), "vm.a: .*delay_s"),
        (sig("a").set(retries="many"), "vm.a: .*retries"),
    ],
)
def test_times_that_nobody_could_keep_are_refused(canvas: Any, said: str) -> None:
    with pytest.raises(InvalidPlan, match=said):
        read(canvas)


def test_what_a_group_or_a_chord_is_told_its_tasks_are_told() -> None:
    """As Celery hands it on: a chain's options to its first task, a group's to all."""
    wide = legs(read(group(sig("a"), chain(sig("b"), sig("c"))).set(countdown=7)))
    long = legs(read(chain(sig("a"), sig("b"), retries=2)))
    both = legs(read(chord([sig("a")], sig("b")).set(countdown=3, retries=1)))

    assert [leg.delay_s for leg in wide.values()] == [7, 7, 0]
    assert [leg.retries for leg in long.values()] == [2, None]
    assert [(leg.delay_s, leg.retries) for leg in both.values()] == [(3, 1), (0, 1)]
    assert [leg.delay_s for leg in read(group(sig("a"), sig("b")).skew(1, 2)).legs] == [1, 2]


def test_callbacks_are_legs_that_nothing_waits_for() -> None:
    first = sig("a")
    first.link(sig("after"))
    first.link_error(sig("repair"))

    made = read(chord([first, sig("b")], sig("c")))

    assert lines(made)[1:] == [
        "a in header",
        "repair <- a:failed",
        "after <- a",
        "b in header",
        "c <- header*",
    ]


def test_an_error_callback_of_a_chain_is_called_whatever_of_it_failed() -> None:
    made = chain(sig("a"), sig("b"))
    made.link_error(sig("repair"))
    made.link(sig("tell"))

    assert lines(read(made)) == [
        "chain",
        "a in chain",
        "b in chain <- a",
        "repair <- chain:failed*",
        "tell <- b",
    ]


@pytest.mark.filterwarnings("ignore:task_allow_error_cb_on_chord_header")
@pytest.mark.parametrize(
    "body", [sig("c"), chain(sig("c"), sig("d")), group(sig("c"), sig("d"))], ids=repr
)
def test_an_error_callback_of_a_chord_is_called_for_its_header_too(body: Any) -> None:
    made = chord([sig("a"), sig("b")], body)
    made.link_error(sig("repair"))

    found = read(made)

    assert lines(found)[0] == "chord"
    assert [line for line in lines(found) if line.startswith("repair")] == [
        "repair <- chord:failed*"
    ]
    assert all(
        part.group for part in (*found.groups, *found.legs) if part.key not in ("chord", "repair")
    )


def test_words_of_plans_can_be_set() -> None:
    target = {"identities": ["hv1"]}
    one = sig("a").set(key="disk", target=target, weight=3, on_failure="pause", max_failures=2)
    many = chord([sig("b"), sig("c")], sig("d").set(pace="barrier")).set(
        key="all", max_failures="5%"
    )

    made = read(chain(one, many), on_failure="rollback")

    leg = legs(made)["disk"]
    assert (leg.target, leg.weight, leg.on_failure) == (Target(identities=("hv1",)), 3, "pause")
    assert leg.max_failures == "2"
    assert (made.groups[0].key, made.groups[0].max_failures) == ("all", "5%")
    assert made.on_failure == "rollback"


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_options_that_cannot_be_honoured_are_refused_by_name(name: str) -> None:
    for canvas in (sig("a"), group(sig("a"), sig("b")), chord([sig("a")], sig("b"))):
        with pytest.raises(InvalidPlan, match=f"{name} cannot be honoured"):
            read(canvas.set(**{name: True}))
        with pytest.raises(InvalidPlan, match="cannot be honoured"):
            read(chain(sig("z"), sig("a").set(**{name: True})))


def test_whatever_celery_takes_for_a_task_is_honoured_or_refused_by_name() -> None:
    """By its own lists, so that what a later Celery adds is noticed."""
    named = {*inspect.signature(Celery.send_task).parameters} - {"self", "name", "args", "kwargs"}

    assert named - {"options"} | extract_exec_options(None).keys() <= {*HONOURED, *REFUSED}


@pytest.mark.parametrize(
    ("canvas", "said"),
    [
        (xmap(sig("a"), [1]), "celery.map cannot be honoured; write a group"),
        (xstarmap(sig("a"), [(1,)]), "celery.starmap cannot be honoured"),
        (chunks(sig("a"), [1], 1), "celery.chunks cannot be honoured"),
        (Signature("vm.a", args=(1,)), "vm.a: positional arguments"),
        ({**chain(sig("a"), sig("b")), "args": (1,)}, "a chain has positional arguments"),
        (Signature("vm"), "a task is called agent.action"),
        (Signature("celery.ping"), "a task is called agent.action"),
        (Signature("Vm.A"), "Vm.A: .*agent"),
        (sig("a").set(nonsense=1), "vm.a: plans know no option 'nonsense'"),
        (group(sig("a"), sig("b")).set(weight=2), "a group: plans know no option 'weight'"),
        (chain(sig("a"), sig("b"), key="x"), "a chain: plans know no option 'key'"),
        (group(sig("a"), sig("b")).set(link=sig("c")), "use a chord"),
        (chord([sig("a")]), "no body"),
        (sig("a").set(pace="slow"), "pace is node or barrier"),
        (sig("a").set(max_failures="many"), "vm.a: .*max_failures"),
        (chord([sig("a")], sig("b")).set(key="no key"), "no key: "),
    ],
)
def test_what_is_no_plan_is_refused_by_name(canvas: Any, said: str) -> None:
    with pytest.raises(InvalidPlan, match=said):
        read(canvas)


def test_frozen_and_stamped_signatures_are_refused() -> None:
    frozen, stamped = sig("a"), sig("a")
    frozen.freeze()
    stamped.stamp(run="7")

    with pytest.raises(InvalidPlan, match="task_id cannot be honoured"):
        read(frozen)
    with pytest.raises(InvalidPlan, match="stamps are not kept"):
        read(stamped)


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "vm.a",
        {},
        {"task": 7},
        {"task": "vm.a", "kwargs": [1]},
        {"task": "vm.a", "options": 7},
        {"task": "vm.a", "more": 7},
        {"task": "celery.chain", "subtask_type": "chain", "kwargs": {}},
        {"task": "celery.chain", "subtask_type": "chain", "kwargs": {"tasks": "ab"}},
        {"task": "celery.chain", "subtask_type": "chain", "kwargs": {"tasks": [7]}},
        {"task": "celery.chain", "subtask_type": "chain"},
        {"task": "celery.group", "subtask_type": "group", "kwargs": None},
        {"task": "celery.chord", "subtask_type": "chord", "kwargs": {"body": 7, "header": 7}},
        {"task": "x.y", "subtask_type": "nope", "kwargs": {}},
        {"task": "vm.a", "options": {"link": 7}},
        {"task": "vm.a", "options": {"key": ["x"]}},
        {"task": "vm.a", "subtask_type": []},
    ],
)
def test_what_is_no_canvas_is_refused(document: Any) -> None:
    with pytest.raises(InvalidPlan):
        read_canvas(document, now=NOW)


def test_what_is_nested_without_end_is_refused() -> None:
    canvas: dict[str, Any] = {"task": "vm.a"}
    for _ in range(5000):
        canvas = {
            "task": "celery.group",
            "subtask_type": "group",
            "kwargs": {"tasks": [canvas] * 2},
        }

    with pytest.raises(InvalidPlan, match="in one another"):
        read_canvas(canvas, now=NOW)


def test_a_chord_of_a_thousand_is_read_at_once() -> None:
    made = read(chord([sig("ping") for _ in range(1000)], sig("tell")))

    assert len(made.legs) == 1001
    assert lines(made)[-1] == "tell <- header*"


canvases: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from("abc").map(sig),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).map(lambda tasks: chain(*tasks))
        | st.lists(inner, min_size=1, max_size=3).map(group)
        | st.tuples(st.lists(inner, min_size=1, max_size=3), inner).map(lambda two: chord(*two))
        | st.tuples(inner, inner).map(lambda two: two[0] | two[1])
    ),
    max_leaves=12,
)


def tasks_of(document: Any) -> Iterable[str]:
    """Every task that is somewhere in the JSON of a canvas."""
    if isinstance(document, dict):
        if str(document.get("task", "")).startswith("vm."):
            yield document["task"]
        for value in document.values():
            yield from tasks_of(value)
    elif isinstance(document, list):
        for value in document:
            yield from tasks_of(value)


@settings(max_examples=60, deadline=None)
@given(canvases)
def test_any_canvas_becomes_a_plan_with_a_leg_for_each_task(canvas: Any) -> None:
    made = read(canvas)

    document = json.loads(dumps(canvas))
    assert sorted(f"{leg.agent}.{leg.action}" for leg in made.legs) == sorted(tasks_of(document))
    assert read_canvas(json.loads(dumps(Signature.from_dict(document))), now=NOW) == made
