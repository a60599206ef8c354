"""Node lists: names of nodes out of a text, whoever wrote it.

One name per line with `#` comments, JSON, YAML, or what a command printed with `--json` or
`--jsonl`, so that the nodes of one call can be the target of the next.
"""

import json
from typing import Any

from fleetjobs.errors import InvalidTarget, NoNodes
from fleetjobs.targets import MOST_IDENTITIES, NAME

LONGEST = 32 * 1024 * 1024  #: characters; replies with their data are long

_LISTS = ("items", "replies", "nodes")  # where a document keeps its list
_NAMES = ("node", "identity", "sender")  # where an entry keeps its name


def read_identities(text: str) -> tuple[str, ...]:
    """The names in a node list, each once.

    Raises InvalidTarget; NoNodes if there is none, for no name would mean every node.
    """
    if len(text) > LONGEST:
        raise InvalidTarget(f"a node list of {len(text)} characters; {LONGEST} are allowed")
    text = text.removeprefix("\ufeff").strip()
    names = tuple(dict.fromkeys(_name(entry) for entry in _entries(text)))
    if not names:
        raise NoNodes("the node list names no node")
    if len(names) > MOST_IDENTITIES:
        raise InvalidTarget(f"a node list of {len(names)} names; {MOST_IDENTITIES} are allowed")
    return names


def _entries(text: str) -> list[Any]:
    """Names, or objects that have one. No name begins as JSON or YAML does."""
    if text.startswith(("[", "{")):
        return _listed(_read_json(text))
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    lines = [line for line in lines if line]
    if lines and (lines[0].startswith("-") or ":" in lines[0]):
        return _listed(_read_yaml(text))
    return list(lines)


def _read_json(text: str) -> Any:
    """A document; or, from --jsonl, a list of one for each line."""
    try:
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            return [json.loads(line) for line in text.splitlines() if line.strip()]
    except (ValueError, RecursionError):
        raise InvalidTarget("the node list begins like JSON and is none") from None


def _read_yaml(text: str) -> Any:
    import yaml  # late: few calls read any

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast where it was built
    try:
        return yaml.load(text, loader)  # noqa: S506  both loaders are the safe ones
    except (yaml.YAMLError, ValueError, RecursionError):
        raise InvalidTarget("the node list begins like YAML and is none") from None


def _listed(document: Any) -> list[Any]:
    if isinstance(document, dict):
        if any(key in document for key in _NAMES):
            return [document]
        document = next((document[key] for key in _LISTS if key in document), None)
    if not isinstance(document, list):
        raise InvalidTarget(f"the node list has no list, also not in {', '.join(_LISTS)}")
    return document


def _name(entry: Any) -> str:
    if isinstance(entry, dict):
        entry = next((entry[key] for key in _NAMES if key in entry), None)
    if not isinstance(entry, str) or not NAME.match(entry):
        shown = repr(entry[:60]) if isinstance(entry, str) else f"a {type(entry).__name__}"
        raise InvalidTarget(f"the node list holds {shown}, which names no node")
    return entry
