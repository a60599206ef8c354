"""Applying: many templates at once, all of them or none; again it changes nothing."""

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection

from fleetjobs.control.authoring import Author, check_level, note_change, put_new, put_next
from fleetjobs.errors import Conflict, InvalidPlan
from fleetjobs.store.database import Database
from fleetjobs.store.templates import (
    Template,
    find_template,
    get_version,
    has_id,
    lock_templates,
)
from fleetjobs.templates.documents import Duplicates, File, Files, Ids, Level
from fleetjobs.templates.reading import Written, read_template

NUMBERS_MOST = 1000  #: labels that are tried for one that is free


class Change(StrEnum):
    """What became of a file."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"  # it reads so already
    SKIPPED = "skipped"  # there is another, which stays


_NOTED = {Change.CREATED: "template.created", Change.UPDATED: "template.changed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What became, or would become, of one file."""

    name: str  # of the file
    change: Change
    template: Template
    diff: str  # unified; of an update alone


@dataclass(frozen=True, slots=True)
class Applying:
    """Safe from any thread."""

    database: Database
    clock: Callable[[], datetime]

    def apply(self, files: Files, author: Author) -> list[Applied]:
        """Take all files in one transaction, or say what that would do.

        Raises InvalidPlan and InvalidInput naming file, line and field; Conflict, Denied.
        """
        check_level(None if files.level is Level.FLEET else author.org, author)
        written = [(file, read_template(file.text, file.name, file.label)) for file in files.files]
        _check_labels(written)
        with self.database.transaction() as connection, connection.begin_nested() as whole:
            found = _Round(connection, files, author, self.clock()).take(written)
            if files.dry_run:
                whole.rollback()
        return found


@dataclass(frozen=True, slots=True)
class _Round:
    """Files that are taken together.

    What is there is locked first, by id; what is new is made then, by label; what was done is
    noted last. So two rounds, or a round and an edit, never wait for one another.
    """

    connection: Connection
    files: Files
    author: Author
    now: datetime

    def take(self, written: Sequence[tuple[File, Written]]) -> list[Applied]:
        """What became of each file, in their order."""
        there = [self._there(file, each) for file, each in written]
        ids = {template.id for template in there if template is not None}
        lock_templates(self.connection, ids)
        found: dict[str, Applied] = {}
        new: list[tuple[str, File, Written, bool]] = []
        taken = {each.label for _, each in written}
        for file, each in written:
            template = self._there(file, each)  # as it stands, now that nobody else changes it
            if template is not None and template.id not in ids:
                raise Conflict(f"{file.name}: {each.label} was made just now; look and try again")
            if template is not None and self.files.duplicates is not Duplicates.CREATE:
                found[each.label] = self._renew(file, each, template)
                continue
            made = each if template is None else self._relabelled(file, each, taken)
            taken.add(made.label)
            new.append((each.label, file, made, template is not None))
        for label, file, made, anew in sorted(new, key=lambda one: one[2].label):
            found[label] = self._create(file, made, anew=anew)
        self._note(found.values())
        return [found[each.label] for _, each in written]

    def _renew(self, file: File, written: Written, template: Template) -> Applied:
        old = get_version(self.connection, template).text
        if old == written.text:
            return Applied(name=file.name, change=Change.UNCHANGED, template=template, diff="")
        if self.files.duplicates is Duplicates.SKIP:
            return Applied(name=file.name, change=Change.SKIPPED, template=template, diff="")
        changed = put_next(self.connection, template, written, self.author, now=self.now)
        diff = difflib.unified_diff(
            old.splitlines(keepends=True),
            written.text.splitlines(keepends=True),
            f"{template.label} version {template.version}",
            file.name,
        )
        return Applied(name=file.name, change=Change.UPDATED, template=changed, diff=_joined(diff))

    def _there(self, file: File, written: Written) -> Template | None:
        """The template of that id, if ids count, or else of that label."""
        org = None if self.files.level is Level.FLEET else self.author.org
        found = None
        if self.files.ids is Ids.KEEP and file.id is not None:
            found = find_template(self.connection, file.id, org=org, own=True)
        if found is None or found.ended_at is not None:
            found = find_template(self.connection, written.label, org=org, own=True)
        return None if found is None or found.ended_at is not None else found

    def _create(self, file: File, written: Written, *, anew: bool) -> Applied:
        kept = file.id if self.files.ids is Ids.KEEP and not anew else None
        if kept is not None and has_id(self.connection, kept):
            raise Conflict(f"{file.name}: the id {kept} belongs to another template; strip the ids")
        template = put_new(
            self.connection,
            written,
            self.author,
            is_fleet=self.files.level is Level.FLEET,
            now=self.now,
            id=kept,
        )
        return Applied(name=file.name, change=Change.CREATED, template=template, diff="")

    def _relabelled(self, file: File, written: Written, taken: set[str]) -> Written:
        """The template under the next label that is free: restart-2."""
        org = None if self.files.level is Level.FLEET else self.author.org
        for number in range(2, NUMBERS_MOST):
            label = f"{written.label[:120]}-{number}"
            is_there = label in taken
            if not is_there and find_template(self.connection, label, org=org, own=True) is None:
                return read_template(file.text, file.name, label)
        raise Conflict(f"{file.name}: there are too many templates called {written.label}")

    def _note(self, found: Iterable[Applied]) -> None:
        for one in found:
            if kind := _NOTED.get(one.change):
                note_change(self.connection, one.template, kind, self.author, self.now)


def _check_labels(written: list[tuple[File, Written]]) -> None:
    """No two files are the same template. Raises InvalidPlan."""
    seen: dict[str, str] = {}
    for file, each in written:
        if each.label in seen:
            raise InvalidPlan(
                f"{file.name}: it is called {each.label!r}, as {seen[each.label]} is;"
                " give it a name of its own"
            )
        seen[each.label] = file.name


def _joined(lines: Iterable[str]) -> str:
    return "".join(line if line.endswith("\n") else line + "\n" for line in lines)
