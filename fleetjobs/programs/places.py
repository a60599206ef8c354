"""Places: where things that come with fleetjobs lie."""

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
_PACKED = _PACKAGE / "_agents"
_PACKED_CONTROLLER = _PACKAGE / "_controller"
_PACKED_EXAMPLES = _PACKAGE / "_examples"

#: the agents that come with fleetjobs: inside an installed package, beside a checkout's
AGENTS = _PACKED if _PACKED.is_dir() else _PACKAGE.parent / "agents"

#: those that the server's own node has beside them
CONTROLLER_AGENTS = (
    _PACKED_CONTROLLER if _PACKED_CONTROLLER.is_dir() else _PACKAGE.parent / "controller"
)

#: agents to begin with, one in each language
EXAMPLES = _PACKED_EXAMPLES if _PACKED_EXAMPLES.is_dir() else _PACKAGE.parent / "docs" / "examples"
