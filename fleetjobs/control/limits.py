"""Limits: how much may be live before more is refused."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from fleetjobs.errors import QueueFull
from fleetjobs.names import NodeId
from fleetjobs.store.counts import count_live_runs, has_live_jobs

_SHOWN = 5  #: nodes an error names at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What has not ended counts; 0 is no limit.

    Two who ask at the same moment may together pass by a little: it is a dam, not a quota.
    """

    runs_per_node: int = 10_000
    jobs_per_org: int = 100_000

    def check(self, connection: Connection, org: str, nodes: Sequence[NodeId]) -> None:
        """Let one more job on these nodes pass. Raises QueueFull."""
        if self.jobs_per_org and has_live_jobs(connection, org, self.jobs_per_org):
            raise QueueFull(f"{org} has {self.jobs_per_org} jobs that have not ended; that is all")
        if not self.runs_per_node:
            return
        live = count_live_runs(connection, nodes)
        full = sorted(node for node, number in live.items() if number >= self.runs_per_node)
        if full:
            listed = ", ".join(full[:_SHOWN]) + (", …" if len(full) > _SHOWN else "")
            verb = "have" if len(full) > 1 else "has"
            raise QueueFull(f"{listed} {verb} {self.runs_per_node} runs that have not ended")


NO_MORE = Limits()  #: unless the settings say otherwise
