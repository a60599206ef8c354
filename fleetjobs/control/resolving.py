"""Resolving: a work that names a template becomes the call or the plan that it comes to."""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection

from fleetjobs.errors import InvalidPlan, InvalidSchedule, NotFound
from fleetjobs.interfaces import MASK
from fleetjobs.jobs import Job
from fleetjobs.schedules.documents import TemplateCall, Work
from fleetjobs.store.templates import Template, get_template, get_version
from fleetjobs.targets import Target
from fleetjobs.templates.reading import Filled, Written, masked, read_template


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """A work without a name in it."""

    work: Work  # a call or a plan
    hidden: frozenset[tuple[str, str]] = frozenset()  # leg and input that hold a secret
    template: Template | None = None
    version: int | None = None
    shown: TemplateCall | None = None  # what was asked for, secrets masked

    def mark(self, job: Job) -> Job:
        """The job as one that was made from the template."""
        if self.template is None:
            return job
        return dataclasses.replace(job, template=self.template.id, template_version=self.version)

    def check_hidden(self, data: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        """Let pass where each secret is masked in what is shown, by leg. Raises InvalidPlan."""
        shown = dict(data)
        for leg, name in sorted(self.hidden):
            if shown[leg].get(name) != MASK:
                raise InvalidPlan(
                    f"leg {leg}: a secret parameter is put into the input {name},"
                    " which its interface does not declare secret: it would be shown to everybody"
                )


def resolve(connection: Connection, work: Work, *, org: str) -> Resolved:
    """What the work comes to in that org.

    Raises InvalidSchedule, NotFound, MissingInput, InvalidInput, InvalidPlan.
    """
    check_work(work)
    wish = work.template
    if wish is None:
        return Resolved(work=work)
    template = get_template(connection, wish.name, org=org)
    if template.ended_at is not None:
        raise NotFound(f"the template {template.label} was deleted")
    version = get_version(connection, template, wish.version)
    written = read_template(version.text, template.label, template.label)
    filled = fill(written, wish.params, wish.target)
    shown = msgspec.structs.replace(wish, params=masked(written, wish.params))
    return Resolved(
        work=filled.work,
        hidden=filled.hidden,
        template=template,
        version=version.number,
        shown=shown,
    )


def fill(written: Written, params: Mapping[str, Any], target: Target | None) -> Filled:
    """The template with values, and aimed elsewhere if a target is given."""
    filled = written.fill(params)
    if target is None:
        return filled
    work = filled.work
    changes: dict[str, Any] = {}
    for name in ("call", "plan"):
        part = getattr(work, name)
        if part is not None:
            changes[name] = msgspec.structs.replace(part, target=target)
    return dataclasses.replace(filled, work=msgspec.structs.replace(work, **changes))


def check_work(work: Work) -> None:
    """Let exactly one thing pass. Raises InvalidSchedule."""
    given = [name for name in ("call", "plan", "template") if getattr(work, name) is not None]
    if len(given) != 1:
        raise InvalidSchedule(
            f"work: give one of call, plan and template, not {' and '.join(given) or 'none'}"
        )
