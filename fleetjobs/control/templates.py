"""Control over templates: made, changed, deleted, tried out, run; a version never changes."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection
from uuid_utils.compat import uuid7

from fleetjobs.control.acceptance import Acceptance, Weighed
from fleetjobs.control.authoring import Author, check_level, note_change, put_new, put_next
from fleetjobs.control.drafts import Draft
from fleetjobs.control.foresight import foresee
from fleetjobs.control.limits import Limits
from fleetjobs.control.resolving import Resolved, fill, resolve
from fleetjobs.control.submissions import Submission
from fleetjobs.control.works import Asker, Seal, Start
from fleetjobs.errors import Conflict, NotFound, Outdated
from fleetjobs.jobs import Job
from fleetjobs.names import JobId
from fleetjobs.schedules.documents import TemplateCall, Work
from fleetjobs.store.database import Database
from fleetjobs.store.jobs import get_job, job_meaning
from fleetjobs.store.templates import (
    Template,
    get_template,
    get_version,
    save_template,
)
from fleetjobs.templates.documents import Trial
from fleetjobs.templates.reading import read_template


@dataclass(frozen=True, slots=True)
class Templates:
    """Each one transaction; raises NotFound, DatabaseAway. Safe from any thread."""

    database: Database
    clock: Callable[[], datetime]
    acceptance: Acceptance
    limits: Limits

    def create(self, text: str, author: Author, *, label: str | None, is_fleet: bool) -> Template:
        """Keep a template that can be read; whether the fleet can do it is asked by `check`.

        Raises InvalidPlan, InvalidInput, Conflict, Denied.
        """
        written = read_template(text, label or "template", label)
        check_level(None if is_fleet else author.org, author)
        with self.database.transaction() as connection:
            now = self.clock()
            template = put_new(connection, written, author, is_fleet=is_fleet, now=now)
            note_change(connection, template, "template.created", author, now)
        return template

    def change(
        self, name: str, text: str, author: Author, *, version: int | None = None
    ) -> Template:
        """Have it read so from now on: its next version, unless it reads so already.

        `version`: the one that was seen. Raises Outdated, Denied, InvalidPlan.
        """
        with self.database.transaction() as connection:
            template = get_template(connection, name, org=author.org, lock=True)
            check_level(template.org, author)
            if template.ended_at is not None:
                raise NotFound(f"the template {template.label} was deleted")
            if version is not None and version != template.version:
                raise Outdated(f"{name} is at version {template.version}, not {version}")
            written = read_template(text, template.label, template.label)
            now = self.clock()
            changed = put_next(connection, template, written, author, now=now)
            if changed != template:
                note_change(connection, changed, "template.changed", author, now)
        return changed

    def delete(self, name: str, author: Author) -> Template:
        """Let nobody run it any more; its versions and its jobs stay, its label is free."""
        with self.database.transaction() as connection:
            template = get_template(connection, name, org=author.org, lock=True)
            check_level(template.org, author)
            if template.ended_at is None:
                text = get_version(connection, template).text
                author.check_kept(connection, text, template.label)
                template = dataclasses.replace(template, ended_at=self.clock())
                save_template(connection, template)
                note_change(connection, template, "template.deleted", author, self.clock())
        return template

    def run(
        self,
        call: TemplateCall,
        start: Start,
        *,
        org: str,
        account: str,
        id: JobId,  # noqa: A002  the job's, as in every document
        seal: Seal,
    ) -> Submission:
        """Ask for its job, once; the same id again is the same job.

        Raises Refused: what resolving raises, and what submitting its plan or action would.
        """
        work = Work(template=call)
        with self.database.transaction() as connection:
            earlier = _earlier(connection, call, id, org)
            if earlier is not None:
                return Submission(earlier, created=False)
            warnings: list[str] = []
            asker = dataclasses.replace(
                self._asker(connection, org, account, seal), warnings=warnings
            )
            try:
                job = asker.ask(work, id, start, lambda job: job)
            except Conflict:  # somebody may have asked for it at the same moment
                earlier = _earlier(connection, call, id, org)
                if earlier is None:
                    raise
                return Submission(earlier, created=False)
            return Submission(job, created=True, warnings=warnings)

    def check(
        self, call: TemplateCall, *, org: str, account: str
    ) -> tuple[Draft | Weighed, list[str]]:
        """What running it would come to, and what stands in its way; nothing is kept.

        Raises as `run` does.
        """
        with self.database.reading() as connection:
            resolved = resolve(connection, Work(template=call), org=org)
            return self._draw(connection, resolved, org, account)

    def try_out(self, trial: Trial, *, org: str, account: str) -> tuple[Draft | Weighed, list[str]]:
        """The same for a text that is no template yet."""
        written = read_template(trial.text, "template", None)
        filled = fill(written, trial.params, trial.target)
        with self.database.reading() as connection:
            resolved = Resolved(work=filled.work, hidden=filled.hidden)
            return self._draw(connection, resolved, org, account)

    def _draw(
        self, connection: Connection, resolved: Resolved, org: str, account: str
    ) -> tuple[Draft | Weighed, list[str]]:
        asker = self._asker(connection, org, account, lambda _: "")
        found = asker.draw(resolved, JobId(str(uuid7())))
        return found, foresee(connection, found, asker.now)

    def _asker(self, connection: Connection, org: str, account: str, seal: Seal) -> Asker:
        return Asker(
            connection=connection,
            acceptance=self.acceptance,
            seal=seal,
            org=org,
            caller=account,
            now=self.clock(),
            limits=self.limits,
        )


def _earlier(connection: Connection, call: TemplateCall, id: JobId, org: str) -> Job | None:  # noqa: A002  the job's, as in every document
    """The job that was made of that template under that id. Raises Conflict if another has it."""
    found = get_job(connection, id, org=org)
    if found is None and job_meaning(connection, id) is None:
        return None
    if found is None or found.template != get_template(connection, call.name, org=org).id:
        raise Conflict(f"the id {id} was used before, for something else")
    return found
