"""What docs/plans.md shows is what there is."""

import re
from pathlib import Path

import msgspec
import pytest

from fleetjobs.plans.documents import Leg
from fleetjobs.plans.options import HONOURED, LEG_WORDS, PACE, REFUSED
from fleetjobs.plans.reading import read_plan

PAGE = (Path(__file__).parents[3] / "docs/plans.md").read_text("utf-8")
BLOCKS = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("text", BLOCKS)
def test_what_is_shown_in_yaml_is_a_plan(text: str) -> None:
    shown = read_plan(text, "plans.md")

    needed = [name for name, one in shown.parameters.items() if one.default is None]
    assert shown.fill(dict.fromkeys(needed, "x")).legs


@pytest.mark.parametrize(("name", "what"), [*HONOURED.items(), *REFUSED.items()])
def test_what_comes_of_each_option_is_told(name: str, what: str) -> None:
    assert re.search(rf"^\|.*`{name}`.*\| (refused: )?{re.escape(what)} \|$", PAGE, re.MULTILINE)


def test_every_word_of_a_leg_is_told() -> None:
    told = set(re.findall(r"`(\w+)`", PAGE))

    fields = {field.name for field in msgspec.structs.fields(Leg)}
    assert fields - {"agent", "group"} <= told
    assert {*LEG_WORDS, PACE} <= told
