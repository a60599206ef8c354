"""Authoring: who writes templates, and how one is kept; a version never changes."""

import dataclasses
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection
from uuid_utils.compat import uuid7

from fleetjobs.access import FLEET, Verb
from fleetjobs.control.rights import Register
from fleetjobs.errors import Denied, InvalidPlan
from fleetjobs.signing import account_key_id
from fleetjobs.store import audit
from fleetjobs.store.audit import add_record
from fleetjobs.store.events import add_event
from fleetjobs.store.templates import (
    Template,
    Version,
    add_version,
    get_version,
    insert_template,
    save_template,
)
from fleetjobs.templates.reading import Written, check_template, read_template


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who changes templates."""

    org: str
    account: str
    of_fleet: bool = False  # may change the fleet's, too
    address: str = ""  # from where they ask, for the audit
    rights: Register | None = None  # by which they may manage; None: whatever it does

    def check(self, connection: Connection, written: Written) -> None:
        """Let them pass who may manage all that a template does. Raises Denied. spec E21."""
        if self.rights is None:
            return
        for action in sorted(written.plan.actions()):
            self.rights.check(connection, Verb.MANAGE, action, caller=self.account, org=self.org)

    def check_kept(self, connection: Connection, text: str, label: str) -> None:
        """The same of one that is kept, if it can be read still."""
        try:
            written = read_template(text, label, label)
        except InvalidPlan:
            return  # of an earlier version of ours; nobody can run it
        self.check(connection, written)


def check_level(org: str | None, author: Author) -> None:
    """Let who may change templates of that org, or the fleet's. Raises Denied."""
    if org is None and not author.of_fleet:
        raise Denied(f"{author.account} may not change what belongs to the whole fleet")


def put_new(
    connection: Connection,
    written: Written,
    author: Author,
    *,
    is_fleet: bool,
    now: datetime,
    id: str | None = None,  # noqa: A002  as in every document
    seed: int | None = None,
) -> Template:
    """Keep a new template. Raises InvalidPlan, Denied, and Conflict if its label is taken.

    That it was made is noted by `note_change`, once everything is locked that is to be.
    """
    check_template(written)
    author.check(connection, written)
    template = Template(
        id=id or str(uuid7()),
        org=None if is_fleet else author.org,
        label=written.label,
        description=written.plan.description,
        seed=seed,
        builtin=seed is not None,
        created_at=now,
        changed_at=now,
    )
    insert_template(connection, template, _version(template, written, author, now))
    return template


def put_next(
    connection: Connection,
    template: Template,
    written: Written,
    author: Author,
    *,
    now: datetime,
    seed: int | None = None,
) -> Template:
    """Keep its next version, unless it reads so already; noted as a new one.

    Raises InvalidPlan, Denied.
    """
    check_template(written)
    earlier = get_version(connection, template).text
    if earlier == written.text:
        return template
    author.check_kept(connection, earlier, template.label)
    author.check(connection, written)
    template = dataclasses.replace(
        template,
        description=written.plan.description,
        version=template.version + 1,
        changed_at=now,
        seed=seed,
    )
    add_version(connection, _version(template, written, author, now))
    save_template(connection, template)
    return template


def _version(template: Template, written: Written, author: Author, now: datetime) -> Version:
    return Version(
        template=template.id,
        number=template.version,
        text=written.text,
        author=author.account,
        created_at=now,
    )


def note_change(
    connection: Connection, template: Template, kind: str, author: Author, now: datetime
) -> None:
    """Write what became of a template into the log and the audit.

    Last of all: who adds to the audit has it alone until the transaction ends, and whoever waits
    for something else then may be waited for.
    """
    add_event(
        connection,
        at=now,
        kind=kind,
        actor=account_key_id(author.account),
        org=author.org,
        detail={"template": template.id, "label": template.label, "version": template.version},
    )
    add_record(
        connection,
        at=now,
        author=audit.Author(account=author.account, address=author.address),
        kind=kind,
        subject=template.label,
        org=template.org or FLEET,
        after={"id": template.id, "version": template.version},
    )
