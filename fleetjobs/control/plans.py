"""Plans at the desk: accepted whole, with all their legs, or refused whole with the leg named."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from fleetjobs.control.acceptance import Acceptance
from fleetjobs.control.drafts import Draft, Drawing, Seal
from fleetjobs.control.submissions import Submission, find_earlier
from fleetjobs.crashpoints import crash_point
from fleetjobs.errors import Conflict
from fleetjobs.plans.documents import PlanRequest
from fleetjobs.store.bells import CHANGES, DISPATCH
from fleetjobs.store.database import Database, ring
from fleetjobs.store.plans import insert_plan


@dataclass(frozen=True, slots=True)
class Plans:
    """The desk where plans are handed in; safe to use from any thread."""

    database: Database
    clock: Callable[[], datetime]
    acceptance: Acceptance

    def submit(self, sealed: str, request: PlanRequest, *, org: str, seal: Seal) -> Submission:
        """Keep a plan, whose seal was checked, with all its legs; durable on return.

        `seal` signs the legs' requests in the caller's name. The same id again with the same wish
        is the same plan. Raises Refused: InvalidPlan, and for a leg what `Control.submit` raises,
        the leg named; and DatabaseAway.
        """
        with self.database.reading() as connection:
            earlier = find_earlier(connection, request, org)
            if earlier is not None:
                return Submission(earlier, created=False)
            draft = self._draw(connection, sealed, request, org, seal)
        with self.database.transaction() as connection:
            created = insert_plan(connection, draft.parts, draft.links)
            if created:
                ring(connection, DISPATCH)
                ring(connection, CHANGES, request.id)
            kept = find_earlier(connection, request, org)
            crash_point("control_before_commit")
        crash_point("control_after_commit")
        if kept is None:
            raise Conflict(f"the id {request.id} was used before")
        return Submission(kept, created=created)

    def check(self, request: PlanRequest, *, org: str) -> Draft:
        """What the plan would be; nothing is kept. Raises as `submit` does."""
        with self.database.reading() as connection:
            return self._draw(connection, "", request, org, lambda _: "")

    def _draw(
        self, connection: Connection, sealed: str, request: PlanRequest, org: str, seal: Seal
    ) -> Draft:
        drawing = Drawing(
            acceptance=self.acceptance,
            connection=connection,
            sealed=sealed,
            request=request,
            org=org,
            seal=seal,
            now=self.clock(),
        )
        return drawing.draw()
