"""Blackouts: occurrences of schedules that fall into them are skipped, not missed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from fleetjobs.errors import Refused
from fleetjobs.schedules.documents import Work
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

        Where some nodes are free, it becomes a job, whose other runs wait for their windows.
        """
        if not self.windows or not moments or self._ignores(work):
            return set()
        whole = [window for window in self.windows if window.target == Target()]
        dark = {moment for moment in moments if not is_open(whole, moment)}
        left = [moment for moment in moments if moment not in dark]
        if left and len(whole) < len(self.windows) and work.call is not None:
            dark |= self._dark_on_nodes(left, work.call.target)
        return dark

    def _ignores(self, work: Work) -> bool:
        """Whether windows do not hold what is asked for."""
        if work.call is None:
            return False
        interface = find_interface(self.connection, work.call.agent, self.org)
        if interface is None or work.call.action not in interface.actions:
            return False
        return interface.actions[work.call.action].window_only is False

    def _dark_on_nodes(self, moments: Sequence[datetime], target: Target) -> set[datetime]:
        nodes = list_nodes(self.connection, self.org)
        try:
            named = set(pick(target, nodes))
        except Refused:
            return set()
        about = {
            tuple(window for window in self.windows if matches(window.target, node))
            for node in nodes
            if node.identity in named
        }
        return {
            moment for moment in moments if not any(is_open(windows, moment) for windows in about)
        }
