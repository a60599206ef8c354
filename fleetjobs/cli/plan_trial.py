"""Trial: what a plan would do, before it does anything."""

from collections.abc import Mapping, Sequence
from typing import Any

from fleetjobs.cli.columns import Column, draw, fits
from fleetjobs.cli.conditions import warn
from fleetjobs.cli.documents import in_json
from fleetjobs.cli.exits import Exit
from fleetjobs.cli.plan_views import needs_in_words
from fleetjobs.cli.screen import Screen, cells, line, stderr, stdout
from fleetjobs.client.asking import fetch_interface
from fleetjobs.client.conditions import AT_ONCE, Conditions
from fleetjobs.client.fleet import Fleet
from fleetjobs.client.plans import check_plan
from fleetjobs.client.replies import Document
from fleetjobs.declarations import Undo
from fleetjobs.errors import UnknownAgent
from fleetjobs.interfaces import Interface
from fleetjobs.plans.checks import Problem, find_problems
from fleetjobs.plans.documents import Leg, Plan, RetryMode
from fleetjobs.plans.shapes import Shape, arrange

FEW = 4  #: nodes that are named


def try_out(
    asked: Fleet,
    plan: Plan,
    conditions: Conditions = AT_ONCE,
    *,
    as_json: bool,
    only_problems: bool = False,
) -> Exit:
    """Show what the plan would do, or all that is wrong with it.

    With `only_problems` a good plan is passed over in silence, and the server is not asked where
    it would run.
    """
    shape = arrange(plan)
    interfaces = _interfaces(asked, shape)
    problems = find_problems(shape, interfaces)
    if problems:
        _complain(problems, as_json=as_json)
        return Exit.ERROR
    if only_problems:
        return Exit.OK
    answer = check_plan(asked, plan, conditions)
    found, warnings = answer["legs"], answer.get("warnings", [])
    legs = {leg.key: leg for leg in plan.legs}
    for each in found:
        if each["key"] in legs:
            leg = legs[each["key"]]
            each["undo"] = undo_of(leg, interfaces)
            each["retry_mode"] = " ".join([leg.retry_mode, *leg.rollback_to])
    if as_json:
        stdout().write(
            in_json({"name": plan.name, "legs": found, "problems": [], "warnings": warnings})
        )
    else:
        _show(plan, found)
        warn(answer)
    return Exit.OK


def _interfaces(asked: Fleet, shape: Shape) -> dict[str, Interface]:
    """Of every agent in the plan that some node has."""
    found: dict[str, Interface] = {}
    for agent in {placed.leg.agent: None for placed in shape.legs}:
        try:
            found[agent] = fetch_interface(asked, agent)
        except UnknownAgent:
            continue  # find_problems says so, with the leg
    return found


def undo_of(leg: Leg, interfaces: Mapping[str, Interface]) -> str | None:
    """What would take the leg back, in words; None if nothing can."""
    action = interfaces[leg.agent].actions[leg.action]
    undo = leg.undo if leg.undo is not None else action.undo
    if isinstance(undo, Undo):
        words = " ".join(f"{name}={value}" for name, value in undo.data.items())
        return f"{leg.agent}.{undo.action} {words}".rstrip()
    return "nothing to take back" if undo == "nothing" or action.reversible else None


def _complain(problems: list[Problem], *, as_json: bool) -> None:
    if as_json:
        items = [{"leg": one.leg, "code": one.code, "detail": one.detail} for one in problems]
        stdout().write(in_json({"problems": items}))
        return
    screen = stderr()
    for one in problems:
        screen.write(f"{screen.paint(line(one.leg), 'bold')}: {line(one.detail)}")
    count = len(problems)
    screen.write(f"{count} {'leg is' if count == 1 else 'legs are'} wrong; nothing was asked for.")


def _show(plan: Plan, found: list[Document]) -> None:
    screen = stdout()
    screen.write(f"{screen.paint(line(plan.title), 'bold')}  would do this; nothing was asked for.")
    screen.write()
    columns = [
        Column("leg", "bold"),
        Column("action"),
        Column("nodes", right=True),
        Column("after", wraps=True),
        Column("on", wraps=True),
        Column("if it fails"),
        Column("taken back by", wraps=True),
    ]
    rows = [_row(plan, each) for each in found]
    if fits(screen, columns, rows):
        draw(screen, columns, rows)
    else:
        _list(screen, columns, rows)


def _list(screen: Screen, columns: Sequence[Column], rows: Sequence[Sequence[object]]) -> None:
    """Leg by leg, a line for each thing: where a table would leave out what matters most."""
    most = max(cells(column.title) for column in columns)
    for key, action, *more in rows:
        screen.write(f"{screen.paint(line(key), 'bold')}  {line(action)}")
        for column, value in zip(columns[2:], more, strict=True):
            if value not in {None, ""}:
                screen.write_folded(
                    f"   {screen.paint(f'{column.title:>{most}}', 'dim')}  {line(value)}", most + 5
                )


def _row(plan: Plan, each: Document) -> list[Any]:
    is_group = each["kind"] == "group"
    nodes = each["nodes"]
    names = ", ".join(nodes[:FEW]) + (f" and {len(nodes) - FEW} more" if len(nodes) > FEW else "")
    tries = f", tried {each['max_attempts']} times" if each["max_attempts"] > 1 else ""
    mode = each.get("retry_mode", RetryMode.AS_IS)
    tries += f", {line(mode)}" if mode != RetryMode.AS_IS else ""
    return [
        f"{each['group']}/{each['key']}" if each["group"] else each["key"],
        "group" if is_group else f"{each['agent']}.{each['action']}",
        None if is_group else len(nodes),
        needs_in_words(each["needs"]),
        names,
        None if is_group else f"{each['on_failure'] or plan.on_failure}{tries}",
        None if is_group else each.get("undo") or "nothing can",
    ]
