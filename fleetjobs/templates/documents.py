"""Documents: templates as they are handed in, one by one or many files at once."""

from enum import StrEnum
from typing import Annotated, Any

from msgspec import Meta, Struct

from fleetjobs.documents import Id, Moment, Priority
from fleetjobs.schedules.documents import Label
from fleetjobs.targets import Target

FILES_MOST = 1000  #: that are applied together


class Level(StrEnum):
    """Whose a template is."""

    ORG = "org"  # one org's
    FLEET = "fleet"  # every org may use it; one of theirs with the same label goes first


class Duplicates(StrEnum):
    """What becomes of an imported template whose label, or id, is there already."""

    UPDATE = "update"  # it gets a new version, if its text is another
    SKIP = "skip"  # it stays as it is
    CREATE = "create"  # the imported one gets a label of its own: restart-2


class Ids(StrEnum):
    """What becomes of the ids of imported templates."""

    STRIP = "strip"  # each gets a new one
    KEEP = "keep"  # they stay, and say which one is there already


class Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What these documents share: unknown fields are refused."""


class NewTemplate(Part, frozen=True, kw_only=True, omit_defaults=True):
    """A template in YAML, or JSON."""

    text: str
    label: Label | None = None  # None: the name in the text
    level: Level = Level.ORG


class NewText(Part, frozen=True, kw_only=True, omit_defaults=True):
    """The next version of a template."""

    text: str


class File(Part, frozen=True, kw_only=True, omit_defaults=True):
    """One template of many."""

    name: Annotated[str, Meta(max_length=500, description="of the file, for messages")]
    text: str
    label: Label | None = None
    id: Id | None = None


class Files(Part, frozen=True, kw_only=True, omit_defaults=True):
    """Templates that are taken together: all of them, or none."""

    files: Annotated[tuple[File, ...], Meta(min_length=1, max_length=FILES_MOST)]
    level: Level = Level.ORG
    duplicates: Duplicates = Duplicates.UPDATE
    ids: Ids = Ids.STRIP
    dry_run: bool = False


class Run(Part, frozen=True, kw_only=True, omit_defaults=True):
    """Values for a template, and when its job may start."""

    params: dict[str, Any] = {}
    version: Annotated[int, Meta(ge=1)] | None = None  # None: the newest
    target: Target | None = None  # None: the template's own
    id: Id | None = None
    not_before: Moment | None = None
    start_before: Moment | None = None
    priority: Priority | None = None  # None: as the template says


class Trial(Part, frozen=True, kw_only=True, omit_defaults=True):
    """A text that is no template yet, with values for its parameters."""

    text: str
    params: dict[str, Any] = {}
    target: Target | None = None
