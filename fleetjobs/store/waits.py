"""Waits: who waits for what ended, asked round by round, or of whole plans read at once.

A failure early in a long plan has everything behind it skipped, link after link: what waits for
what is then read once, and judged in memory.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable

from fleetjobs.jobs import Dependency
from fleetjobs.names import JobId
from fleetjobs.store.dependencies import WHOLE, open_in_plans, waiting_for
from fleetjobs.store.ledger import Ended, Ledger

LONG = 8  #: rounds, after which the rest of a plan is read at once


class Waits:
    """Of one ledger, while it settles."""

    def __init__(self, ledger: Ledger) -> None:
        """Nothing is read yet."""
        self._ledger = ledger
        self._rounds = 0
        self._plans: set[JobId] = set()  # of which all is known
        self._on: dict[tuple[JobId, str], list[Dependency]] = defaultdict(list)

    def for_what(self, ended: Collection[Ended]) -> list[Dependency]:
        """The open waits for what has ended."""
        self._rounds += 1
        if self._rounds == LONG:
            self._read_plans()
        known = [name for name in ended if self._is_known(name[0])]
        rest = [name for name in ended if not self._is_known(name[0])]
        found = waiting_for(self._ledger.connection, rest) if rest else []
        for job, node in known:
            found += self._on.pop((job, node or WHOLE), ())
        return found

    def unread(self, items: Iterable[Dependency]) -> list[Dependency]:
        """Those whose runs may not be in the ledger."""
        return [item for item in items if not self._is_known(item.job)]

    def _is_known(self, job: JobId) -> bool:
        entry = self._ledger.job(job)
        return entry is not None and entry.root in self._plans

    def _read_plans(self) -> None:
        self._ledger.include_plans()
        self._plans = {plan.id for plan in self._ledger.plans()}
        for item in open_in_plans(self._ledger.connection, sorted(self._plans)):
            self._on[item.on_job, item.on_node or WHOLE].append(item)
