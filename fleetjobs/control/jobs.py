"""Control over jobs: accept what is asked, or refuse it with a reason; never in between."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from fleetjobs.control.acceptance import Acceptance, Weighed, has_to_wait
from fleetjobs.control.applying import Applying
from fleetjobs.control.edits import Edits, signed_request
from fleetjobs.control.foresight import foresee
from fleetjobs.control.keeping import keep_job
from fleetjobs.control.limits import NO_MORE, Limits
from fleetjobs.control.nodes import Nodes
from fleetjobs.control.notices import Notices
from fleetjobs.control.parallel import Parallel
from fleetjobs.control.pauses import Pauses
from fleetjobs.control.plans import Plans
from fleetjobs.control.questions import Questions
from fleetjobs.control.relay import Relay
from fleetjobs.control.rolling import roll_out
from fleetjobs.control.schedules import Schedules
from fleetjobs.control.submissions import Submission, find_earlier
from fleetjobs.control.templates import Templates
from fleetjobs.control.verbs import Verbs
from fleetjobs.control.windows import Windows
from fleetjobs.crashpoints import crash_point
from fleetjobs.errors import Conflict, NotFound
from fleetjobs.jobs import Kind
from fleetjobs.names import JobId
from fleetjobs.plans.documents import PlanRequest
from fleetjobs.requests import Request
from fleetjobs.store.database import Database
from fleetjobs.store.jobs import get_job
from fleetjobs.store.runs import nodes_without_success
from fleetjobs.targets import Target


@dataclass(frozen=True, slots=True)
class Control:
    """The desk where jobs are handed in; safe to use from any thread."""

    database: Database
    clock: Callable[[], datetime]
    limits: Limits = NO_MORE
    acceptance: Acceptance = field(default_factory=Acceptance)  # what it has read, all requests use
    address: str = ""  # from where it is asked, for the audit

    @property
    def verbs(self) -> Verbs:
        """Where accepted jobs are cancelled, held, released, tried again, resolved."""
        return Verbs(self.database, self.clock, self.address)

    @property
    def edits(self) -> Edits:
        """Where accepted jobs are changed."""
        return Edits(self.database, self.clock, self.acceptance, self.address)

    @property
    def plans(self) -> Plans:
        """Where plans are handed in."""
        return Plans(self.database, self.clock, self.acceptance, self.limits)

    @property
    def notices(self) -> Notices:
        """Where is said who wishes to hear of what."""
        return Notices(self.database, self.clock, self.address)

    @property
    def schedules(self) -> Schedules:
        """Where schedules are made and changed."""
        return Schedules(self.database, self.clock, self.acceptance, self.limits, self.address)

    @property
    def templates(self) -> Templates:
        """Where templates are made, changed and run."""
        return Templates(self.database, self.clock, self.acceptance, self.limits)

    @property
    def applying(self) -> Applying:
        """Where many templates are taken at once."""
        return Applying(self.database, self.clock)

    @property
    def questions(self) -> Questions:
        """Where nodes are asked."""
        return Questions(self.database, self.clock)

    @property
    def nodes(self) -> Nodes:
        """Where nodes are let in and taken off."""
        return Nodes(self.database, self.clock, self.address)

    @property
    def parallel(self) -> Parallel:
        """Where it is said how many runs of an action may be at work at once."""
        return Parallel(self.database, self.clock, self.address)

    @property
    def pauses(self) -> Pauses:
        """Where the fleet, orgs and nodes are told to begin nothing."""
        return Pauses(self.database, self.clock, self.address)

    @property
    def windows(self) -> Windows:
        """Where it is said when what may begin."""
        return Windows(self.database, self.clock, self.address)

    @property
    def relay(self) -> Relay:
        """Where the coordinators are told what to do."""
        return Relay(self.database, self.clock, self.address)

    def submit(
        self, sealed: str, request: Request, *, org: str, rerun_of: JobId | None = None
    ) -> Submission:
        """Keep a request, whose seal was checked, as a job of the org; durable on return.

        The same id again with the same wish is the same job, whatever the fleet is by now.
        Raises Refused: Conflict, Denied, InvalidTime, InvalidTarget, NoNodes, UnknownAgent,
        UnknownAction, UnknownDependency, MissingInput, InvalidInput, QueueFull; and DatabaseAway.
        """
        now = self.clock()
        with self.database.reading() as connection:
            earlier = find_earlier(connection, request, org)
            if earlier is not None:
                return Submission(earlier, created=False)
            weighed = self.acceptance.weigh(connection, sealed, request, org=org, now=now)
            self.limits.check(connection, org, weighed.nodes)
            warnings = foresee(connection, weighed, now)
        job = dataclasses.replace(weighed.job, rerun_of=rerun_of)
        job = roll_out(job, weighed.nodes, request.rollout)
        with self.database.transaction() as connection:
            kept = keep_job(connection, request, dataclasses.replace(weighed, job=job), now)
            earlier = None if kept else find_earlier(connection, request, org)
            crash_point("control_before_commit")
        crash_point("control_after_commit")
        if kept is not None:
            return Submission(kept, created=True, warnings=warnings)
        if earlier is None:
            raise Conflict(f"the id {request.id} was used before")
        return Submission(earlier, created=False)

    def check(self, request: Request, *, org: str) -> tuple[Weighed, list[str]]:
        """What the request would come to, and what stands in its way; nothing is kept.

        Raises as `submit` does.
        """
        now = self.clock()
        with self.database.reading() as connection:
            weighed = self.acceptance.weigh(connection, "", request, org=org, now=now)
            has_to_wait(connection, request, org)
            self.limits.check(connection, org, weighed.nodes)
            return weighed, foresee(connection, weighed, now)

    def rerun(
        self,
        job: JobId,
        *,
        org: str,
        account: str,
        id: JobId,  # noqa: A002  the new job's, as in every document
        seal: Callable[[Request | PlanRequest], str],
        failed: bool = False,
    ) -> Submission:
        """Ask the same again as a new job, at once; the old one stays as it is.

        The caller, who did not sign, is the account; `seal` signs in its stead. `failed`: only
        where it did not succeed. Raises NotFound, Conflict, and what `submit` raises.
        """
        with self.database.reading() as connection:
            old = get_job(connection, job, org=org)
            if old is None:
                raise NotFound(f"there is no job {job}")
            nodes = nodes_without_success(connection, job) if failed else None
        if old.kind is Kind.PLAN:
            return self.plans.rerun(old, account=account, id=id, seal=seal, failed=failed)
        if old.kind is Kind.GROUP or old.fills is not None:
            raise Conflict(f"{job} makes sense in its plan alone; do {old.plan} again")
        if nodes is not None and not nodes:
            raise Conflict(f"{job} succeeded everywhere")
        asked = signed_request(old)
        request = msgspec.structs.replace(
            asked,
            id=id,
            caller=account,
            created_at=self.clock(),
            target=asked.target if nodes is None else Target(identities=tuple(nodes)),
            not_before=None,
            start_before=None,
            after=(),
        )
        return self.submit(seal(request), request, org=org, rerun_of=job)
