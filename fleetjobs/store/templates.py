"""Templates in the database: each version stays as it was written."""

from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, insert, select, update
from sqlalchemy.exc import IntegrityError

from fleetjobs.errors import Conflict, NotFound
from fleetjobs.store.pages import Page, read_time_cursor, time_cursor
from fleetjobs.store.schema.templates import template_versions, templates


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A template, and its newest version."""

    id: str  # UUIDv7
    org: str | None  # None: the fleet's
    label: str
    description: str
    version: int = 1
    seed: int | None = None  # the version of the seed it was last made from; None: a person's own
    builtin: bool = False  # it came with the installation
    created_at: datetime
    changed_at: datetime
    ended_at: datetime | None = None  # deleted then


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A text that a template had; it never changes."""

    template: str
    number: int
    text: str
    author: str
    created_at: datetime


_NAMES = tuple(field.name for field in fields(Template))
_OF_VERSION = tuple(field.name for field in fields(Version))


def insert_template(connection: Connection, template: Template, first: Version) -> None:
    """Keep a new template with its first version. Raises Conflict if its label is taken there."""
    try:
        with connection.begin_nested():
            connection.execute(insert(templates).values(_row(template)))
            add_version(connection, first)
    except IntegrityError:
        where = "the fleet" if template.org is None else template.org
        raise Conflict(
            f"there is a template {template.label!r} in {where} already;"
            " edit it, or take another label"
        ) from None


def save_template(connection: Connection, template: Template) -> None:
    """Write a template that was read under its lock."""
    change = update(templates).where(templates.c.id == template.id)
    connection.execute(change.values(_row(template)))


def add_version(connection: Connection, version: Version) -> None:
    """Keep one more version."""
    row = {name: getattr(version, name) for name in _OF_VERSION}
    connection.execute(insert(template_versions).values(row))


def get_template(
    connection: Connection, name: str, *, org: str | None, lock: bool = False
) -> Template:
    """The template of that label that the org means, or of that id even if it was deleted.

    Its own goes before the fleet's; with `org` None, the fleet's alone. Raises NotFound.
    """
    found = find_template(connection, name, org=org, lock=lock)
    if found is None:
        raise NotFound(f"there is no template {name[:128]!r}")
    return found


def find_template(
    connection: Connection,
    name: str,
    *,
    org: str | None,
    lock: bool = False,
    own: bool = False,
    ended: bool = False,
) -> Template | None:
    """The same, or None; `own`: of that level alone; `ended`: by label deleted ones, too."""
    alive = templates.c.label == name
    if not ended:
        alive &= templates.c.ended_at.is_(None)
    level = templates.c.org.is_(None) if org is None else templates.c.org == org
    query = select(templates).where(
        (templates.c.id == name) | alive, level if own else _usable(org)
    )
    query = query.order_by(
        (templates.c.id == name).desc(),
        templates.c.org.is_(None),
        templates.c.ended_at.is_not(None),
        templates.c.created_at.desc(),
    ).limit(1)
    row = connection.execute(query.with_for_update() if lock else query).mappings().first()
    return None if row is None else _template(row)


def lock_templates(connection: Connection, ids: Collection[str]) -> None:
    """Have these to oneself until the transaction ends; always in the same order."""
    query = select(templates.c.id).where(templates.c.id.in_(sorted(ids))).order_by(templates.c.id)
    connection.execute(query.with_for_update()).all()


def has_id(connection: Connection, name: str) -> bool:
    """Whether any template, of whatever org, has that id."""
    query = select(templates.c.id).where(templates.c.id == name)
    return connection.execute(query).first() is not None


def list_templates(
    connection: Connection,
    *,
    org: str | None,
    cursor: str | None = None,
    limit: int,
    ended: bool = False,
) -> Page[Template]:
    """The org's templates and the fleet's, the newest first; with the deleted ones if asked for."""
    query = select(templates).where(_usable(org))
    if not ended:
        query = query.where(templates.c.ended_at.is_(None))
    at, name = templates.c.created_at, templates.c.id
    if cursor is not None:
        before, last = read_time_cursor(cursor)
        query = query.where((at < before) | ((at == before) & (name < last)))
    query = query.order_by(at.desc(), name.desc()).limit(limit + 1)
    found = [_template(row) for row in connection.execute(query).mappings()]
    items = found[:limit]
    more = len(found) > limit
    return Page(items, time_cursor(items[-1].created_at, items[-1].id) if more else None)


def get_version(connection: Connection, template: Template, number: int | None = None) -> Version:
    """That version of it, or the newest. Raises NotFound."""
    wanted = template.version if number is None else number
    there = 1 <= wanted <= template.version  # a database takes no number beyond its own
    query = select(template_versions).where(
        template_versions.c.template == template.id, template_versions.c.number == wanted
    )
    row = connection.execute(query).mappings().first() if there else None
    if row is None:
        raise NotFound(
            f"the template {template.label} has no version {wanted};"
            f" there are 1 to {template.version}"
        )
    return Version(**row)


def list_versions(
    connection: Connection, template: str, *, before: int | None = None, limit: int
) -> list[Version]:
    """Its versions, the newest first, those below a number if given."""
    query = select(template_versions).where(template_versions.c.template == template)
    if before is not None:
        query = query.where(template_versions.c.number < before)
    query = query.order_by(template_versions.c.number.desc()).limit(limit)
    return [Version(**row) for row in connection.execute(query).mappings()]


def ids_called(connection: Connection, name: str, *, org: str) -> list[str]:
    """The ids of all templates that the org could or can use under that label, or id."""
    named = (templates.c.label == name) | (templates.c.id == name)
    query = select(templates.c.id).where(named, _usable(org))
    return list(connection.execute(query).scalars())


def labels_of(connection: Connection, ids: set[str]) -> dict[str, str]:
    """The labels of templates by id."""
    if not ids:
        return {}
    query = select(templates.c.id, templates.c.label).where(templates.c.id.in_(sorted(ids)))
    return {row.id: row.label for row in connection.execute(query)}


def _usable(org: str | None) -> ColumnElement[bool]:
    whole: ColumnElement[bool] = templates.c.org.is_(None)
    return whole if org is None else whole | (templates.c.org == org)


def _row(template: Template) -> dict[str, Any]:
    return {name: getattr(template, name) for name in _NAMES}


def _template(row: RowMapping) -> Template:
    return Template(**{name: row[name] for name in _NAMES})
