"""Control over nodes: let one into the fleet, take one off."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from fleetjobs.control.noting import note
from fleetjobs.errors import Conflict, NotFound
from fleetjobs.names import JobId, NodeId
from fleetjobs.nodes import is_alive
from fleetjobs.signing import VerifyKey, account_key_id
from fleetjobs.store.bells import CHANGES
from fleetjobs.store.database import Database, ring
from fleetjobs.store.departures import end_runs, forget_node, live_runs_of
from fleetjobs.store.events import add_event
from fleetjobs.store.nodes import enroll_node, get_node

BATCH = 500  #: runs in one transaction


@dataclass(frozen=True, slots=True)
class Nodes:
    """The nodes' desk; for those who may rule an org. Safe to use from any thread."""

    database: Database
    clock: Callable[[], datetime]
    address: str = ""  # from where it is asked, for the audit

    def enroll(self, node: NodeId, key: VerifyKey, *, org: str, account: str) -> bool:
        """Believe what that key signs to come from that node; False if it was so already.

        Raises Conflict if the node has another org or key, and DatabaseAway.
        """
        now = self.clock()
        with self.database.transaction() as connection:
            is_new = enroll_node(connection, node, org, key, now)
            if is_new:
                actor = account_key_id(account)
                add_event(connection, at=now, kind="node.enrolled", actor=actor, org=org, node=node)
                told = {"verify_key": key.text}
                note(self, connection, "node.enrolled", node, account=account, org=org, after=told)
        return is_new

    def remove(self, node: NodeId, *, org: str, account: str, force: bool = False) -> int:
        """Take a node off; how many runs it had to leave undone, which have failed now.

        Raises NotFound, DatabaseAway, and Conflict if it lives and is not forced: what runs there
        would be given up, and what it replies would no longer be believed.
        """
        with self.database.reading() as connection:
            found = get_node(connection, node, org=org)
        if found is None:
            raise NotFound(f"there is no node {node}")
        if is_alive(found, self.clock()) and not force:
            raise Conflict(f"{node} lives; stop it first, or force it off")
        ended = 0
        while (number := self._part(node, org, account, ended)) is not None:
            ended += number
        return ended

    def _part(self, node: NodeId, org: str, account: str, ended: int) -> int | None:
        """End some of its runs, how many; or let it go with the last of them: None."""
        now, actor = self.clock(), account_key_id(account)
        with self.database.transaction() as connection:
            names = live_runs_of(connection, node, BATCH)
            if not names:
                forget_node(connection, node, now, org=org, actor=actor)
                told = {"given_up": ended}
                note(self, connection, "node.removed", node, account=account, org=org, after=told)
                return None
            moved: set[JobId] = end_runs(connection, names, now, actor=actor)
            ring(connection, CHANGES, ",".join(sorted(moved)))
        return len(names)
