"""Templates as they are written, and what they come to."""

from typing import Any

import pytest

from fleetjobs.errors import InvalidInput, InvalidPlan
from fleetjobs.seeds.nightly import SEEDS, Seed
from fleetjobs.templates.reading import check_template, masked, read_template

NESTED = """\
params:
  deep: {type: hash}
  many: {type: array, default: [1, [2.5, null], {a: true}]}
action: demo.echo
data: {text: "${params.deep}", more: {inner: ["${params.many}", "x"]}}
"""


@pytest.mark.spec("S2-08")
def test_nested_values_stay_what_they_are() -> None:
    deep: dict[str, Any] = {"a": [1, {"b": None, "c": [True, "${params.many}"]}], "": 2.5}

    work = read_template(NESTED, "nested.yaml").fill({"deep": deep}).work

    assert work.call is not None
    assert work.call.data == {
        "text": deep,
        "more": {"inner": [[1, [2.5, None], {"a": True}], "x"]},
    }


@pytest.mark.parametrize(
    ("origin", "label", "called"),
    [("a/b/web.yaml", None, "web"), ("x.yaml", "other", "other"), ("x.yaml", None, "x")],
)
def test_it_is_called_as_it_is_told_or_after_its_file(
    origin: str, label: str | None, called: str
) -> None:
    assert read_template("action: demo.id", origin, label).label == called


def test_a_label_that_cannot_be_one_is_refused() -> None:
    with pytest.raises(InvalidInput, match="letters, digits, dots, dashes and _") as refused:
        read_template("name: two words\naction: demo.id", "x.yaml")
    assert refused.value.field == "label"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("{secret: true, default: x}", "a secret has no default"),
        ("{secret: true, type: integer}", "of type string"),
        ("{secret: maybe}", "secret is true or false"),
        ("{pattern: '('}", "pattern"),
    ],
)
def test_what_cannot_be_a_parameter_is_refused(words: str, why: str) -> None:
    with pytest.raises(InvalidPlan, match=why):
        read_template(f"params:\n  p: {words}\naction: demo.id", "x.yaml")


def test_legs_are_looked_at_before_there_are_values() -> None:
    """But not where a value decides what is meant."""
    broken = "params: {n: {type: integer}}\nlegs:\n  - a: {action: demo.id, needs: [b]}\n"
    with pytest.raises(InvalidPlan, match="needs 'b'"):
        check_template(read_template(broken, "x.yaml"))
    open_ = "params: {n: {}}\nlegs:\n  - a: {action: demo.id, max_failures: '${params.n}'}\n"
    check_template(read_template(open_, "x.yaml"))


def test_secrets_are_masked_and_the_rest_is_shown() -> None:
    text = "params: {p: {secret: true}, q: x}\naction: demo.echo\ndata: {text: '${params.p}'}"
    written = read_template(text, "x.yaml")

    assert masked(written, {"p": "hunter2", "q": "y"}) == {"p": "***", "q": "y"}
    assert written.fill({"p": "hunter2"}).hidden == {("echo", "text")}


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: str(seed.label))
def test_every_seed_can_be_run_as_it_is(seed: Seed) -> None:
    written = read_template(seed.text, seed.label, seed.label)
    check_template(written)

    assert written.fill({}).work.call is not None
    assert written.plan.description
    assert all(one.description for one in written.parameters.values())
    assert written.plan.name == seed.label
