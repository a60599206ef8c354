"""What a Python agent's methods take is held against its interface before it is run."""

from pathlib import Path
from typing import Any

import pytest

from fleetjobs.errors import UnknownAgent
from fleetjobs.registry import Registry
from fleetjobs.signatures import read_source
from tests.workbench import write_agent

HEAD = "from fleetjobs.agent import Agent, action\nclass Snake(Agent):\n"
TEXT = {"type": "string", "prompt": "x", "description": "x", "maxlength": 0, "optional": False}


def refusal(tmp_path: Path, method: str, kind: str = "string", **more: Any) -> str:
    """Why an agent whose action `do` takes `text` is refused; empty if it is not."""
    text = {**TEXT, "type": kind, **more}
    if kind == "list":
        text["list"] = ["a"]
    if kind != "string":
        del text["maxlength"]
    lines = method.splitlines() or ["pass"]
    module = HEAD + "".join(f"    {line}\n" for line in lines)
    write_agent(tmp_path, "snake", module=module, inputs={"text": text})
    registry = Registry([tmp_path])
    return registry.refused.get("snake", "")


@pytest.mark.parametrize(
    ("kind", "annotation"),
    [
        ("string", "str"),
        ("string", "str | None"),
        ("string", "'Optional[str]'"),
        ("string", "Any"),
        ("string", "MyType"),
        ("list", "str"),
        ("list", "Literal['a']"),
        ("integer", "int"),
        ("integer", "float"),
        ("number", "float"),
        ("float", "int | float"),
        ("boolean", "bool"),
        ("hash", "dict[str, Any]"),
        ("hash", "Mapping[str, int]"),
        ("array", "typing.Sequence[str]"),
        ("any", "set"),
    ],
)
def test_an_annotation_that_fits_passes(tmp_path: Path, kind: str, annotation: str) -> None:
    assert not refusal(tmp_path, f"@action\ndef do(self, text: {annotation}): pass", kind)


@pytest.mark.parametrize(
    ("kind", "annotation"),
    [
        ("string", "int"),
        ("integer", "str"),
        ("number", "int"),
        ("boolean", "str | None"),
        ("hash", "list[str]"),
        ("array", "dict"),
        ("list", "list[str]"),
    ],
)
def test_an_annotation_that_cannot_fit_is_refused(
    tmp_path: Path, kind: str, annotation: str
) -> None:
    why = refusal(tmp_path, f"@action\ndef do(self, text: {annotation}): pass", kind)

    assert f"snake.do: the input 'text' is {kind}, and the method wants" in why


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("@action\ndef do(self): pass", "does not take the input 'text'"),
        ("@action\ndef do(self, text, more): pass", "needs 'more', which is no input"),
        ("@action\ndef do(self, text, *, more): pass", "needs 'more', which is no input"),
        ("@action\ndef other(self): pass", "snake.do is declared, and no method is its @action"),
        (
            "@action\ndef do(self, text): pass\n@action\ndef extra(self): pass",
            "extra is an @action, and the interface does not declare it",
        ),
        ("@action('done')\ndef do(self, text): pass", "done is an @action"),
    ],
)
def test_a_method_that_cannot_do_what_is_declared_is_refused(
    tmp_path: Path, method: str, said: str
) -> None:
    assert said in refusal(tmp_path, method)


@pytest.mark.parametrize(
    "method",
    [
        "@action\ndef do(self, **inputs): pass",
        "@action\ndef do(self, text, more=1): pass",
        "@action\ndef do(self, text, *, more=1): pass",
        "@action('do')\ndef in_other_words(self, text): pass",
        "@agent.action\ndef do(self, text): pass",
    ],
)
def test_a_method_that_can_is_taken(tmp_path: Path, method: str) -> None:
    assert not refusal(tmp_path, method)


def test_an_input_that_may_be_missing_needs_a_default(tmp_path: Path) -> None:
    method = "@action\ndef do(self, text): pass"

    assert "no default for it" in refusal(tmp_path, method, optional=True)
    assert not refusal(tmp_path, method, optional=True, default="x")
    assert not refusal(tmp_path, "@action\ndef do(self, text=None): pass", optional=True)


def test_what_cannot_be_read_is_left_to_running_it() -> None:
    assert read_source("def broken(:") is None
    assert read_source("") is None
    assert read_source("x = " + "(" * 5000) is None
    assert read_source("\0") is None


def test_actions_of_another_class_are_not_missed(tmp_path: Path) -> None:
    write_agent(tmp_path, "snake", module=HEAD.replace("(Agent)", "(Shared)") + "    pass\n")

    assert not Registry([tmp_path]).refused


def test_a_refused_agent_says_why_when_it_is_asked_for(tmp_path: Path) -> None:
    refusal(tmp_path, "@action\ndef do(self): pass")

    with pytest.raises(UnknownAgent, match=r"snake\.py does not fit its interface"):
        Registry([tmp_path]).agent("snake")
