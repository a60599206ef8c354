"""Plan examples: the plans in docs/examples, as the tests run them."""

from collections.abc import Mapping
from typing import Any

from fleetjobs.interfaces import Interface
from fleetjobs.plans.documents import Plan
from fleetjobs.plans.reading import WrittenPlan, read_plan
from tests.agent_programs import DIRECTORIES, ROOT, interface_of

EXAMPLES = ROOT / "docs" / "examples"


def written(name: str) -> WrittenPlan:
    """The example of that name, with its parameters open."""
    path = EXAMPLES / f"{name}.yaml"
    return read_plan(path.read_text(encoding="utf-8"), path.name)


def example(name: str, params: Mapping[str, Any]) -> Plan:
    """The example of that name with these parameters."""
    return written(name).fill(params)


def own_interfaces() -> dict[str, Interface]:
    """Those of all agents that come with fleetjobs."""
    return {directory.name: interface_of(directory) for directory in DIRECTORIES}
