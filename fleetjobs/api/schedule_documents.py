"""Documents of schedules, as the API gives them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, Field

from fleetjobs.api.account_documents import shown_org
from fleetjobs.control.forecasts import Clash
from fleetjobs.control.outlooks import Outlook
from fleetjobs.schedules.documents import Schedule
from fleetjobs.schedules.due import Fate
from fleetjobs.schedules.rules import Rule
from fleetjobs.states import Reason
from fleetjobs.store.schedules import Entry, Occurrence


class ScheduleDocument(BaseModel):
    """A schedule, and how far it has been followed."""

    id: str
    org: str | None = Field(description="null: the fleet's own")
    label: str
    owner: str = Field(description="in whose name its jobs are asked for")
    enabled: bool
    rule: str = Field(description="for people")
    next_at: datetime | None = Field(description="null: no occurrence is awaited")
    made: int = Field(description="jobs")
    builtin: bool = Field(description="it came with the installation")
    barred: bool = Field(description="the server's settings switch it off")
    skips: int = Field(description="so many of the next occurrences are left out")
    version: int
    created_at: datetime
    ended_at: datetime | None = Field(description="when it was deleted")
    schedule: dict[str, Any] = Field(description="as it was handed in, secrets masked")

    @classmethod
    def of(cls, entry: Entry) -> "ScheduleDocument":
        """The entry as a document."""
        same = {name: getattr(entry, name) for name in cls.model_fields if hasattr(entry, name)}
        return cls(
            **same | {"org": shown_org(entry.org)},
            enabled=entry.document.enabled,
            rule=str(entry.document.rule),
            schedule=entry.shown,
        )


class SharedSchedule(BaseModel):
    """What an org is told of a schedule of the fleet's."""

    label: str
    does: str = Field(description="an action, a plan or a template")
    next_at: datetime | None
    enabled: bool

    @classmethod
    def of(cls, entry: Entry) -> "SharedSchedule":
        """Roughly: no inputs, no nodes, nothing that it did."""
        work = entry.document.work
        if work.call is not None:
            does = f"{work.call.agent}.{work.call.action}"
        elif work.plan is not None:
            does = f"plan {work.plan.name}"
        else:
            does = "a template" if work.template is None else f"template {work.template.name}"
        enabled = entry.document.enabled
        return cls(label=entry.label, does=does, next_at=entry.next_at, enabled=enabled)


class ClashDocument(BaseModel):
    """A time at which not everything begins: for windows, or because it is to be left out."""

    at: datetime
    skipped: bool = Field(description="no job will come of it; false: runs wait, or expire")
    text: str = Field(description="why, for people")


class PreviewDocument(BaseModel):
    """Moments that are to come."""

    zone: str
    items: list[datetime] = Field(description="in the rule's zone")
    clashes: list[ClashDocument] = Field(
        description="with windows as these are now, and what is left out; not with `after`"
    )

    @classmethod
    def of(
        cls, rule: Rule, moments: Sequence[datetime], clashes: Sequence[Clash] = ()
    ) -> "PreviewDocument":
        """The moments as the rule's author reads them."""
        zone = ZoneInfo(rule.zone)
        return cls(
            zone=rule.zone,
            items=[moment.astimezone(zone) for moment in moments],
            clashes=[
                ClashDocument(at=each.at.astimezone(zone), skipped=each.skipped, text=each.text)
                for each in clashes
            ],
        )


class ScheduleCheck(BaseModel):
    """What a schedule would come to."""

    schedule: dict[str, Any] = Field(description="as it was handed in, secrets masked")
    rule: str = Field(description="for people")
    nodes: list[str] = Field(description="where its job would run now, by name")
    preview: PreviewDocument

    @classmethod
    def of(cls, schedule: Schedule, found: Outlook) -> "ScheduleCheck":
        """What was found out, as a document."""
        return cls(
            schedule=found.shown,
            rule=str(schedule.rule),
            nodes=[str(node) for node in found.nodes],
            preview=PreviewDocument.of(schedule.rule, found.moments, found.clashes),
        )


class OccurrenceDocument(BaseModel):
    """A moment of a schedule, and what became of it."""

    at: datetime
    fate: Fate
    reason: Reason | None
    job: str | None = Field(description="that it became, or that stands for it")
    text: str = Field(description="why it is no job of its own; else empty")

    @classmethod
    def of(cls, occurrence: Occurrence) -> "OccurrenceDocument":
        """The occurrence as a document."""
        return cls(
            at=occurrence.at,
            fate=occurrence.fate,
            reason=occurrence.reason,
            job=occurrence.job,
            text=_why(occurrence),
        )


def _why(occurrence: Occurrence) -> str:
    match occurrence.fate, occurrence.reason:
        case Fate.RAN, _:
            return ""
        case Fate.SKIPPED, Reason.OVERLAP:
            return f"job {occurrence.job} handles it"
        case Fate.SKIPPED, Reason.SKIP_NEXT:
            return "somebody wanted it left out"
        case Fate.COALESCED, _:
            return "the job of a later one stands for it"
        case Fate.MISSED, _:
            return "nobody was there to start it in time"
        case _, reason:
            return str(reason or "")


class Reinitialized(BaseModel):
    """How many schedules count anew."""

    schedules: int
