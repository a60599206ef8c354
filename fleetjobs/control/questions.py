"""Questions: what lies on the disks of nodes, asked while somebody waits for it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import uuid4

from fleetjobs.errors import NotFound
from fleetjobs.messages import Answer, Asked, Question
from fleetjobs.names import JobId, NodeId
from fleetjobs.store.bells import DISPATCH
from fleetjobs.store.database import Database, ring
from fleetjobs.store.nodes import orgs_of
from fleetjobs.store.questions import ask, read_answers

LOG_MOST = 1024 * 1024  #: bytes a node sends at once


@dataclass(frozen=True, slots=True)
class Questions:
    """Asks nodes; the bell CHANGES carries the ids of what was answered."""

    database: Database
    clock: Callable[[], datetime]

    def ask_runs(
        self, nodes: Sequence[NodeId], *, org: str, job: JobId | None, within: timedelta
    ) -> list[str]:
        """Ask each node which attempts it has, of one job or of all; the questions' ids.

        Raises NotFound, DatabaseAway.
        """
        now = self.clock()
        asked = [
            Question(
                id=str(uuid4()),
                node=node,
                what=Asked.RUNS,
                job=job,
                issued_at=now,
                expires_at=now + within,
            )
            for node in nodes
        ]
        return self._ask(asked, org)

    def ask_log(
        self,
        node: NodeId,
        *,
        org: str,
        job: JobId,
        attempt: int | None,
        stream: Literal["stdout", "stderr"],
        offset: int,
        limit: int,
        within: timedelta,
    ) -> str:
        """Ask for a part of what an attempt wrote, None: the latest one; the question's id.

        Raises NotFound, DatabaseAway.
        """
        now = self.clock()
        question = Question(
            id=str(uuid4()),
            node=node,
            what=Asked.LOG,
            job=job,
            attempt=attempt,
            stream=stream,
            offset=offset,
            limit=min(max(limit, 1), LOG_MOST),
            issued_at=now,
            expires_at=now + within,
        )
        return self._ask([question], org)[0]

    def answers(self, ids: Sequence[str], *, org: str) -> dict[NodeId, Answer | None]:
        """What the nodes said so far; None where one has not answered. Raises DatabaseAway."""
        with self.database.reading() as connection:
            return read_answers(connection, ids, org=org)

    def _ask(self, asked: Sequence[Question], org: str) -> list[str]:
        with self.database.transaction() as connection:
            orgs = orgs_of(connection, [NodeId(question.node) for question in asked])
            for question in asked:
                if orgs.get(NodeId(question.node)) != org:
                    raise NotFound(f"there is no node {question.node}")
            ask(connection, asked, org)
            ring(connection, DISPATCH)
        return [question.id for question in asked]
