"""Plans at the desk: accepted whole, with all their legs, or refused whole with the leg named."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from fleetjobs.control.acceptance import Acceptance
from fleetjobs.control.drafts import Draft, Drawing, Seal
from fleetjobs.control.foresight import foresee
from fleetjobs.control.limits import Limits
from fleetjobs.control.submissions import Submission, find_earlier
from fleetjobs.crashpoints import crash_point
from fleetjobs.documents import decode
from fleetjobs.errors import Conflict
from fleetjobs.jobs import Job
from fleetjobs.names import JobId, NodeId
from fleetjobs.plans.documents import PlanRequest
from fleetjobs.requests import Request
from fleetjobs.signing import peek
from fleetjobs.store.bells import CHANGES, DISPATCH
from fleetjobs.store.database import Database, ring
from fleetjobs.store.jobs import get_job
from fleetjobs.store.plans import (
    Successes,
    begin_plan,
    has_undone,
    insert_plan,
    nodes_by_leg,
    successes_by_leg,
)
from fleetjobs.targets import Target


@dataclass(frozen=True, slots=True)
class Plans:
    """The desk where plans are handed in; safe to use from any thread."""

    database: Database
    clock: Callable[[], datetime]
    acceptance: Acceptance
    limits: Limits

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
            nodes = {node for part in draft.parts for node in part.nodes}
            self.limits.check(connection, org, sorted(nodes))
            warnings = foresee(connection, draft, self.clock())
        kept = self._keep(draft, request, org)
        return dataclasses.replace(kept, warnings=warnings) if kept.created else kept

    def _keep(
        self, draft: Draft, request: PlanRequest, org: str, *, rerun_of: JobId | None = None
    ) -> Submission:
        with self.database.transaction() as connection:
            created = insert_plan(connection, draft.parts, draft.links, rerun_of=rerun_of)
            if created:
                begin_plan(connection, draft.parts, self.clock())
                ring(connection, DISPATCH)
                ring(connection, CHANGES, request.id)
            kept = find_earlier(connection, request, org)
            crash_point("control_before_commit")
        crash_point("control_after_commit")
        if kept is None:
            raise Conflict(f"the id {request.id} was used before")
        return Submission(kept, created=created)

    def rerun(
        self,
        plan: Job,
        *,
        account: str,
        id: JobId,  # noqa: A002  the new plan's, as in every document
        seal: Callable[[Request | PlanRequest], str],
        failed: bool,
    ) -> Submission:
        """Ask for the same plan again, at once and on the same nodes; `seal` signs for the account.

        `failed`: what succeeded is taken over as it is, wherever it did, and only the rest is done
        again. Raises Conflict, and what `submit` raises.
        """
        now = self.clock()
        with self.database.reading() as connection:
            earlier = get_job(connection, id, org=plan.org)
            if earlier is not None and earlier.rerun_of == plan.id:
                return Submission(earlier, created=False)
            nodes = nodes_by_leg(connection, plan.id)
            done = successes_by_leg(connection, plan.id) if failed else {}
            if failed and not has_undone(connection, plan.id):
                raise Conflict(f"{plan.id} succeeded everywhere")
            request = _again(decode(PlanRequest, peek(plan.sealed)), id, account, nodes, now)
            draft = self._draw(connection, seal(request), request, plan.org, seal, done)
        return self._keep(draft, request, plan.org, rerun_of=plan.id)

    def check(self, request: PlanRequest, *, org: str) -> tuple[Draft, list[str]]:
        """What the plan would be, and what stands in its way; nothing is kept.

        Raises as `submit` does.

        Whoever may look may try it out, though they may not run it.
        """
        anybody = Acceptance()
        with self.database.reading() as connection:
            draft = self._draw(connection, "", request, org, lambda _: "", acceptance=anybody)
            return draft, foresee(connection, draft, self.clock())

    def _draw(
        self,
        connection: Connection,
        sealed: str,
        request: PlanRequest,
        org: str,
        seal: Seal,
        done: Mapping[str, Successes] | None = None,
        acceptance: Acceptance | None = None,
    ) -> Draft:
        drawing = Drawing(
            acceptance=acceptance or self.acceptance,
            connection=connection,
            sealed=sealed,
            request=request,
            org=org,
            seal=seal,
            now=self.clock(),
            done=done or {},
        )
        return drawing.draw()


def _again(
    old: PlanRequest,
    id: JobId,  # noqa: A002  as in every document
    account: str,
    nodes: Mapping[str, Sequence[NodeId]],
    now: datetime,
) -> PlanRequest:
    """The same plan at once, on the nodes that its legs had."""
    replace = msgspec.structs.replace
    legs = tuple(
        replace(
            leg,
            target=Target(identities=tuple(nodes.get(leg.key, ()))),
            not_before=None,
            start_before=None,
        )
        for leg in old.plan.legs
    )
    return replace(
        old,
        id=id,
        caller=account,
        created_at=now,
        plan=replace(old.plan, legs=legs),
        not_before=None,
        start_before=None,
    )
