"""Blackouts: occurrences of schedules that fall into them are skipped, not missed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from fleetjobs.control.resolving import resolve
from fleetjobs.errors import Refused
from fleetjobs.nodes import Node
from fleetjobs.plans.shapes import arrange
from fleetjobs.schedules.documents import Call, Work
from fleetjobs.schedules.windows import Window, WindowKind, is_open
from fleetjobs.store.nodes import find_interface, list_nodes
from fleetjobs.store.windows import list_windows
from fleetjobs.targets import Target, matches, pick


@dataclass(frozen=True, slots=True, kw_only=True)
class Blackouts:
    """An org's blackouts, read once for many schedules."""

    connection: Connection
    org: str
    windows: Sequence[Window]

    @classmethod
    def read(cls, connection: Connection, org: str) -> "Blackouts":
        """As they are now."""
        found = [each.window for each in list_windows(connection, org)]
        blackouts = [window for window in found if window.kind is WindowKind.BLACKOUT]
        return cls(connection=connection, org=org, windows=blackouts)

    def hold(self, moments: Sequence[datetime], work: Work) -> set[datetime]:
        """Those of the moments at which the work could begin nowhere.

        Where some nodes are free, it becomes a job, whose other runs wait for their windows. Of a
        plan, its first legs are looked at: one that begins anywhere lets all of it go on.
        """
        if not self.windows or not moments:
            return set()
        try:
            calls = first_calls(resolve(self.connection, work, org=self.org).work)
        except Refused:  # asking for it will say why
            return set()
        if any(self._is_free(call) for call in calls):
            return set()
        whole = [window for window in self.windows if window.target == Target()]
        dark = {moment for moment in moments if not is_open(whole, moment)}
        left = [moment for moment in moments if moment not in dark]
        if left and len(whole) < len(self.windows):
            dark |= self._dark_on_nodes(left, calls)
        return dark

    def _is_free(self, call: Call) -> bool:
        """Whether windows do not hold it."""
        interface = find_interface(self.connection, call.agent, self.org)
        if interface is None or call.action not in interface.actions:
            return False
        return interface.actions[call.action].window_only is False

    def _dark_on_nodes(self, moments: Sequence[datetime], calls: Iterable[Call]) -> set[datetime]:
        nodes = list_nodes(self.connection, self.org)
        named = {node.identity: node for call in calls for node in _meant(call, nodes)}
        about = {
            tuple(window for window in self.windows if matches(window.target, node))
            for node in named.values()
        }
        if not about:
            return set()
        return {
            moment for moment in moments if not any(is_open(windows, moment) for windows in about)
        }


def first_calls(work: Work) -> list[Call]:
    """What begins first: the action itself, or the legs of a plan that need no other.

    Raises InvalidPlan.
    """
    if work.call is not None:
        return [work.call]
    if work.plan is None:
        return []
    legs = [placed.leg for placed in arrange(work.plan).legs if not placed.needs]
    whole = work.plan.target
    return [Call(agent=leg.agent, action=leg.action, target=leg.target or whole) for leg in legs]


def _meant(call: Call, nodes: Sequence[Node]) -> list[Node]:
    """The nodes that it is about; none if there are none."""
    able = [node for node in nodes if call.agent in node.agents]
    try:
        names = set(pick(call.target, able))
    except Refused:
        return []
    return [node for node in able if node.identity in names]
