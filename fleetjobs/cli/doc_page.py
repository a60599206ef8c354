"""The page of an agent in Markdown, made from its interface: `fj doc AGENT --markdown`."""

import re
from collections.abc import Iterator

from fleetjobs.cli.doc import rules
from fleetjobs.cli.screen import line
from fleetjobs.cli.words import span
from fleetjobs.interfaces import Action, Interface

#: what would be markup in Markdown, or HTML
_MARKUP = re.compile(r"([\\`*_\[\]<>|#])")


def make_page(interface: Interface) -> str:
    """All its actions, with tables of what they take and return."""
    return "\n".join(_page(interface)).rstrip()


def _page(interface: Interface) -> Iterator[str]:
    yield f"# {interface.name}\n"
    if interface.description:
        yield f"{_plain(interface.description)}.\n".replace("..", ".")
    metadata = interface.document["metadata"]
    facts = [f"version {interface.version}", f"timeout {span(interface.timeout)}"]
    facts += [
        f"{key} {_plain(metadata[key])}" for key in ("author", "license") if metadata.get(key)
    ]
    yield _sentence(facts)
    for action in interface.actions.values():
        yield from _action(action)


def _action(action: Action) -> Iterator[str]:
    yield f"## {action.agent} {action.name}\n"
    if action.description:
        yield f"{_plain(action.description)}.\n".replace("..", ".")
    words = [
        "quick, runs inside the worker" if action.inline else f"timeout {span(action.timeout)}",
        "may be repeated" if action.idempotent else "",
    ]
    yield _sentence([word for word in words if word])
    if action.inputs:
        rows = [
            (found.name, found.description, rules(found, secret=found.name in action.secrets))
            for found in action.inputs.values()
        ]
        yield from _table(("input", "", "has to be"), rows)
    if action.outputs:
        outputs = [
            (output.name, output.description, str(output.type or ""))
            for output in action.outputs.values()
        ]
        yield from _table(("output", "", "type"), outputs)


def _sentence(words: list[str]) -> str:
    text = ", ".join(words)
    return f"{text[0].upper()}{text[1:]}.\n"


def _table(titles: tuple[str, str, str], rows: list[tuple[str, str, str]]) -> Iterator[str]:
    yield f"| {' | '.join(titles)} |"
    yield "|---|---|---|"
    for name, about, more in rows:
        yield f"| `{name}` | {_plain(about)} | {_plain(more)} |"
    yield ""


def _plain(text: str) -> str:
    """A text from elsewhere, in which nothing is markup."""
    return _MARKUP.sub(r"\\\1", line(text))
