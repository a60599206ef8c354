"""Documents of templates, as the API gives them."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from fleetjobs.api.legs import CheckedLeg, checked
from fleetjobs.control.acceptance import Weighed
from fleetjobs.control.applying import Applied, Change
from fleetjobs.control.drafts import Draft
from fleetjobs.control.works import nodes_of
from fleetjobs.inputs import Input, InputType
from fleetjobs.jobs import Kind
from fleetjobs.store.templates import Template, Version
from fleetjobs.templates.documents import Level
from fleetjobs.templates.reading import Written


class ParameterDocument(BaseModel):
    """What a form has to ask for."""

    name: str
    type: InputType
    description: str
    required: bool = Field(description="it has no default and may not be left out")
    default: Any
    choices: list[str] = Field(description="of a list")
    pattern: str | None = Field(
        description="a regular expression (RE2) that is found in it, or shellsafe, ipaddress, …"
    )
    maxlength: int = Field(description="characters; 0: no limit of its own")
    secret: bool = Field(description="never shown")

    @classmethod
    def of(cls, taken: Input, *, secret: bool) -> "ParameterDocument":
        """The parameter as a document."""
        return cls(
            name=taken.name,
            type=taken.type,
            description=taken.description,
            required=not taken.optional and taken.default is None,
            default=taken.default,
            choices=list(taken.choices),
            pattern=taken.validation,
            maxlength=taken.maxlength,
            secret=secret,
        )


class TemplateDocument(BaseModel):
    """A template."""

    id: str
    label: str
    level: Level = Field(description="fleet: every org may use it")
    org: str | None = Field(description="null: the fleet's")
    description: str
    version: int = Field(description="the newest; its ETag")
    builtin: bool = Field(description="it came with the installation")
    created_at: datetime
    changed_at: datetime
    ended_at: datetime | None = Field(description="when it was deleted")

    @classmethod
    def of(cls, template: Template) -> "TemplateDocument":
        """The template as a document."""
        return cls(**_fields(template))


class TemplateText(TemplateDocument):
    """A template, or one of its versions, with what it takes."""

    text: str
    author: str
    written_at: datetime = Field(description="when that version was made")
    is_plan: bool = Field(description="false: a single action")
    parameters: list[ParameterDocument]

    @classmethod
    def of_version(cls, template: Template, version: Version, written: Written) -> "TemplateText":
        """The version as a document."""
        secrets = written.plan.secrets
        return cls(
            **_fields(template) | {"version": version.number},
            text=version.text,
            author=version.author,
            written_at=version.created_at,
            is_plan=not written.plan.is_single,
            parameters=[
                ParameterDocument.of(taken, secret=name in secrets)
                for name, taken in written.parameters.items()
            ],
        )


def _fields(template: Template) -> dict[str, Any]:
    level = Level.FLEET if template.org is None else Level.ORG
    names = TemplateDocument.model_fields.keys() - {"level"}
    return {name: getattr(template, name) for name in names} | {"level": level}


class VersionDocument(BaseModel):
    """One version of a template."""

    number: int
    author: str
    created_at: datetime
    text: str

    @classmethod
    def of(cls, version: Version) -> "VersionDocument":
        """The version as a document."""
        return cls(**{name: getattr(version, name) for name in cls.model_fields})


class TemplateCheck(BaseModel):
    """What running a template would come to."""

    kind: Kind
    nodes: list[str] = Field(description="where it would run, by name")
    legs: list[CheckedLeg] = Field(description="of a plan")
    warnings: list[str] = Field(description="what stands in its way")

    @classmethod
    def of(cls, found: Draft | Weighed, warnings: list[str]) -> "TemplateCheck":
        """What was drawn up, as a document."""
        is_plan = isinstance(found, Draft)
        return cls(
            kind=Kind.PLAN if is_plan else Kind.ACTION,
            nodes=[str(node) for node in nodes_of(found)],
            legs=checked(found) if isinstance(found, Draft) else [],
            warnings=warnings,
        )


class AppliedDocument(BaseModel):
    """What became of one file."""

    name: str
    change: Change
    id: str
    label: str
    version: int
    diff: str = Field(description="unified; of an update alone")

    @classmethod
    def of(cls, applied: Applied) -> "AppliedDocument":
        """The file's fate as a document."""
        template = applied.template
        return cls(
            name=applied.name,
            change=applied.change,
            id=template.id,
            label=template.label,
            version=template.version,
            diff=applied.diff,
        )


class AppliedFiles(BaseModel):
    """What became, or would become, of all files."""

    dry_run: bool
    items: list[AppliedDocument]
