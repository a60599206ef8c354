"""Following a plan: how its legs and their nodes get on, as it happens, and how it ended."""

from datetime import datetime, timedelta
from time import monotonic

from fleetjobs.cli.bar import Bar
from fleetjobs.cli.documents import in_json, style_of
from fleetjobs.cli.exits import Exit
from fleetjobs.cli.plan_views import MARKS, tally_in_words, tree
from fleetjobs.cli.screen import Screen, line, stderr, stdout
from fleetjobs.cli.session import program
from fleetjobs.cli.words import span
from fleetjobs.client.plans import PlanJob
from fleetjobs.client.replies import Document
from fleetjobs.states import State

TICK_S = 0.5  #: between two looks at a plan of few legs
MANY = 500  #: legs that are looked at in one go; so many more take so much more time
FEW = 5  #: nodes whose failures are shown of each leg
_TOLD = frozenset(State) - {State.WAITING, State.SCHEDULED, State.QUEUED}


def follow_plan(
    plan: PlanJob, *, timeout: timedelta | None, quiet: bool = False, as_json: bool = False
) -> Exit:
    """Show what happens until the plan has ended; the exit code.

    Ctrl-C says how to go on and ends with 130.
    """
    following = _Following(plan, quiet=quiet, silent=as_json)
    try:
        has_ended = following.follow(timeout)
    except KeyboardInterrupt:
        following.close()
        screen = stderr()
        screen.write(f"\nThe plan goes on. `{program()} job wait {plan.id}` waits again,")
        screen.write(f"`{program()} job cancel {plan.id}` calls it off.")
        return Exit.INTERRUPTED
    finally:
        following.close()
    screen = stdout()
    if as_json:
        screen.write(in_json({**plan.document, "legs": following.legs}))
    else:
        screen.write()
        tree(screen, plan.document, following.legs)
        screen.write()
        screen.write(_closing(plan.document, has_ended=has_ended))
    return Exit.OK if plan.document["state"] == State.SUCCEEDED else Exit.FAILED


class _Following:
    """What was seen of a plan, and what is new."""

    def __init__(self, plan: PlanJob, *, quiet: bool, silent: bool) -> None:
        """Nothing was seen yet. `quiet`: only what went wrong is shown; `silent`: nothing."""
        self.legs: list[Document] = []
        self._plan = plan
        self._quiet = quiet or silent
        self._silent = silent
        self._screen = stdout()
        self._bar: Bar | None = None
        self._seen: dict[str, str] = {}
        self._failed: dict[str, int] = {}
        self._shown: dict[str, set[str]] = {}  # nodes by legs
        self._is_paused = False

    def follow(self, timeout: timedelta | None) -> bool:
        """Until it has ended, or the time is over; whether it has ended."""
        end = None if not timeout else monotonic() + timeout.total_seconds()
        while True:
            pause = TICK_S * (1 + len(self.legs) // MANY)
            left = pause if end is None else min(pause, max(end - monotonic(), 0.0))
            has_ended = self._plan.wait(left)
            self._look()
            if has_ended or (end is not None and monotonic() >= end):
                return has_ended

    def close(self) -> None:
        """Leave no bar behind."""
        if self._bar is not None:
            self._bar.close()

    def _look(self) -> None:
        self.legs = self._plan.legs()
        forward = [leg for leg in self.legs if leg["kind"] == "action" and not leg.get("undoes")]
        if self._bar is None:
            self._bar = Bar(self._screen, len(forward), is_wanted=not self._quiet)
        for leg in self.legs:
            self._tell(leg)
        ended = [State(leg["state"]) for leg in forward if State(leg["state"]).is_terminal]
        good = sum(state in (State.SUCCEEDED, State.SKIPPED) for state in ended)
        self._bar.advance(good, len(ended) - good, self._plan.percent)
        self._say_paused()

    def _tell(self, leg: Document) -> None:
        """What is new about a leg: its state, and nodes that failed."""
        if leg["kind"] != "action":
            return
        bad = sum(leg["tally"].get(state, 0) for state in ("failed", "expired"))
        is_new = self._seen.get(leg["id"]) != leg["state"] and State(leg["state"]) in _TOLD
        self._seen[leg["id"]] = leg["state"]
        if is_new and not self._quiet:
            self._print(_step(self._screen, leg))
        if bad > self._failed.get(leg["id"], 0):
            if not self._silent:
                self._show_failures(leg)
            self._failed[leg["id"]] = bad

    def _show_failures(self, leg: Document) -> None:
        """Nodes where the leg failed: a few, and each once, whichever fails after another."""
        shown = self._shown.setdefault(leg["id"], set())
        if len(shown) >= FEW:
            return
        query = [("state", "failed"), ("state", "expired")]
        found = self._plan.runs_of(leg["id"], query, most=FEW + len(shown))
        for run in [run for run in found if run["node"] not in shown][: FEW - len(shown)]:
            shown.add(run["node"])
            why = line(run["statusmsg"] or run["reason"] or run["state"])
            name = self._screen.paint(line(run["node"]), "red")
            self._print(f"     {line(leg['key'])} on {name}: {why}")

    def _say_paused(self) -> None:
        """That nothing goes on until a person decides; once."""
        is_paused = self._plan.document["state"] == State.PAUSED
        if is_paused and not self._is_paused:
            name = self._plan.id
            self._print(
                f"It waits for a person: `{program()} attention list` tells why,"
                f" `{program()} job retry {name}` tries again what failed."
            )
        self._is_paused = is_paused

    def _print(self, text: str) -> None:
        if self._bar is not None and not self._silent:
            self._bar.print(text)


def _step(screen: Screen, leg: Document) -> str:
    state = State(leg["state"])
    style = style_of(state)
    mark = MARKS.get(state, "·")
    back = "takes back " if leg.get("undoes") else ""
    words = [
        f"{screen.paint(mark, style) if style else mark} {screen.paint(line(leg['key']), 'bold')}",
        f"{back}{line(leg['agent'])}.{line(leg['action'])}" if state is State.RUNNING else "",
        f"{state}" + (f" ({line(leg['reason'])})" if leg["reason"] else ""),
        tally_in_words(leg),
    ]
    return "  ".join(word for word in words if word)


def _closing(plan: Document, *, has_ended: bool) -> str:
    if not has_ended:
        return f"The time is over; the plan goes on: `{program()} job wait {plan['id']}`"
    took = ""
    if plan["started_at"] and plan["ended_at"]:
        began, ended = (datetime.fromisoformat(plan[name]) for name in ("started_at", "ended_at"))
        took = f" after {span(ended - began)}"
    back = plan.get("rollback")
    undone = f"; rollback: {line(back)}" if back and back != "none" else ""
    return f"The plan has {_ENDS.get(State(plan['state']), plan['state'])}{took}{undone}."


_ENDS = {
    State.SUCCEEDED: "succeeded",
    State.FAILED: "failed",
    State.CANCELLED: "been cancelled",
    State.SKIPPED: "been skipped",
    State.EXPIRED: "expired",
}
