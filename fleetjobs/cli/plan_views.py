"""Views of one plan: its legs as a tree, as a table, and for Graphviz."""

from collections.abc import Iterator, Sequence

from fleetjobs.cli.columns import Column, draw
from fleetjobs.cli.documents import style_of
from fleetjobs.cli.screen import Screen, line
from fleetjobs.cli.words import local
from fleetjobs.client.replies import Document
from fleetjobs.states import State

MARKS = {
    State.SUCCEEDED: "✓",
    State.FAILED: "✗",
    State.EXPIRED: "✗",
    State.CANCELLED: "✗",
    State.SKIPPED: "-",
    State.RUNNING: "▶",
    State.QUEUED: "▷",
    State.CANCELLING: "▶",
    State.REVERTING: "◀",
    State.PAUSED: "!",
}
_DOT_COLOURS = {
    State.SUCCEEDED: "palegreen",
    State.FAILED: "lightcoral",
    State.EXPIRED: "lightcoral",
    State.RUNNING: "lightblue",
    State.PAUSED: "khaki",
    State.CANCELLED: "khaki",
    State.SKIPPED: "lightgrey",
}


def tree(screen: Screen, plan: Document, legs: Sequence[Document]) -> None:
    """The plan, its legs in their order below it, those of a group below the group."""
    screen.write(_root(screen, plan))
    forward = [leg for leg in legs if not leg.get("undoes")]
    for text in _branches(screen, forward, None, ""):
        screen.write(text)
    back = [leg for leg in legs if leg.get("undoes") and leg["kind"] != "group"]
    names = {leg["id"]: leg["key"] for leg in legs}
    if back:
        screen.write()
        screen.write(screen.paint("taking back", "bold"))
    for leg in back:
        named = {**leg, "key": names.get(leg["undoes"]) or leg["key"], "needs": []}
        screen.write(f"   {_leg(screen, named)}")


def _root(screen: Screen, plan: Document) -> str:
    words = [
        screen.paint(line(plan["action"]), "bold"),
        screen.paint(line(plan["state"]), style_of(plan["state"]) or "bold"),
    ]
    if plan.get("percent_complete") is not None:
        words.append(f"{plan['percent_complete']} %")
    if plan["completion"] == "partial":
        words.append("partly done")
    return "  ".join(words)


def _branches(
    screen: Screen, legs: Sequence[Document], group: str | None, indent: str
) -> Iterator[str]:
    inside = [leg for leg in legs if leg["group"] == group]
    told = [need for leg in legs if leg["key"] == group for need in leg["needs"]]
    for leg in inside:
        is_last = leg is inside[-1]
        own = {**leg, "needs": [need for need in leg["needs"] if need not in told]}
        yield f"{indent}{'└─' if is_last else '├─'} {_leg(screen, own)}"
        if leg["kind"] == "group":
            below = indent + ("   " if is_last else "│  ")
            yield from _branches(screen, legs, leg["key"], below)


def _leg(screen: Screen, leg: Document) -> str:
    """One leg in a line: how it stands, what it is, how far its nodes are, what it waits for."""
    style = style_of(leg["state"])
    state = line(leg["state"])
    why = leg["reason"] or leg["wait_reason"]
    mark = MARKS.get(State(leg["state"]), "·")
    words = [
        f"{screen.paint(mark, style) if style else mark} {screen.paint(line(leg['key']), 'bold')}",
        "group" if leg["kind"] == "group" else f"{line(leg['agent'])}.{line(leg['action'])}",
        (screen.paint(state, style) if style else state) + (f" ({line(why)})" if why else ""),
        tally_in_words(leg),
    ]
    if leg["needs"]:
        words.append(screen.paint(f"after {line(needs_in_words(leg['needs']))}", "dim"))
    return "  ".join(word for word in words if word)


def tally_in_words(leg: Document) -> str:
    """How far its nodes are: `3 of 20, 1 failed`; nothing of a group, or before it begins."""
    tally = leg["tally"]
    total, good = sum(tally.values()), tally.get("succeeded", 0)
    bad = sum(tally.get(state, 0) for state in ("failed", "expired"))
    off = tally.get("cancelled", 0)
    if leg["kind"] == "group" or not good + bad + off:
        return ""
    told = (f"{good} of {total}", f"{bad} failed" * bool(bad), f"{off} cancelled" * bool(off))
    return ", ".join(word for word in told if word)


def needs_in_words(needs: Sequence[Document]) -> str:
    """What has to end first: `make, look (failed)`; `*` after what is waited for on all nodes."""
    return ", ".join(
        str(need["leg"])
        + ("*" if need["pace"] == "barrier" else "")
        + ("" if need["when"] == "succeeded" else f" ({need['when']})")
        for need in needs
    )


def legs_table(screen: Screen, legs: Sequence[Document]) -> None:
    """A row for each leg and group."""
    columns = [
        Column("leg", "bold"),
        Column("state", style_of),
        Column("reason"),
        Column("action", wraps=True),
        Column("nodes", right=True),
        Column("ok", right=True),
        Column("failed", right=True),
        Column("after", wraps=True),
        Column("started"),
        Column("job"),
    ]
    rows = [
        [
            f"{leg['group']}/{leg['key']}" if leg["group"] else leg["key"],
            leg["state"],
            leg["reason"] or leg["wait_reason"],
            "group" if leg["kind"] == "group" else f"{leg['agent']}.{leg['action']}",
            None if leg["kind"] == "group" else sum(leg["tally"].values()),
            leg["tally"].get("succeeded", 0),
            sum(leg["tally"].get(state, 0) for state in ("failed", "expired")),
            needs_in_words(leg["needs"]),
            local(leg.get("started_at")),
            leg["id"],
        ]
        for leg in legs
    ]
    draw(screen, columns, rows)


def dot(plan: Document, legs: Sequence[Document]) -> Iterator[str]:
    """The plan in the language of Graphviz, line by line."""
    yield "digraph plan {"
    yield f"  label={_quoted(plan['action'])}; rankdir=LR; compound=true; node [shape=box];"
    yield from _clusters(legs, None, "  ")
    known = {leg["key"]: leg for leg in legs}
    inner = {key: _innermost(key, legs) for key in known}
    for leg in legs:
        for need in leg["needs"]:
            if need["leg"] not in known:
                continue
            marks = [f"label={_quoted(need['when'])}"] if need["when"] != "succeeded" else []
            if known[need["leg"]]["kind"] == "group":
                marks.append(f"ltail={_quoted('cluster_' + need['leg'])}")
            if leg["kind"] == "group":
                marks.append(f"lhead={_quoted('cluster_' + leg['key'])}")
            style = f" [{', '.join(marks)}]" if marks else ""
            ends = f"{_quoted(inner[need['leg']])} -> {_quoted(inner[leg['key']])}"
            yield f"  {ends}{style};"
    yield "}"


def _clusters(legs: Sequence[Document], group: str | None, indent: str) -> Iterator[str]:
    for leg in legs:
        if leg["group"] != group or leg.get("undoes"):
            continue
        if leg["kind"] == "group":
            yield f"{indent}subgraph {_quoted('cluster_' + leg['key'])} {{"
            yield f"{indent}  label={_quoted(leg['key'])};"
            yield from _clusters(legs, leg["key"], indent + "  ")
            yield f"{indent}}}"
        else:
            colour = _DOT_COLOURS.get(State(leg["state"]), "white")
            label = f"{leg['key']}\n{leg['agent']}.{leg['action']}\n{leg['state']}"
            yield (
                f"{indent}{_quoted(leg['key'])}"
                f" [label={_quoted(label)}, style=filled, fillcolor={colour}];"
            )


def _innermost(key: str, legs: Sequence[Document]) -> str:
    """A leg that stands for a group at the end of an arrow."""
    inside = next((leg for leg in legs if leg["group"] == key), None)
    return key if inside is None else _innermost(inside["key"], legs)


def _quoted(text: str) -> str:
    escaped = line(text) if "\n" not in text else "\\n".join(map(line, text.split("\n")))
    return '"' + escaped.replace('"', '\\"') + '"'
