"""Query strings of schedules."""

from pydantic import Field

from fleetjobs.api.parameters import Moment, Parameters, Part


class ListQuery(Part):
    """Which schedules."""

    ended: bool = Field(default=False, description="deleted ones, too")


class PreviewQuery(Parameters):
    """How far ahead."""

    count: int = Field(5, ge=1, le=1000, description="occurrences")
    after: Moment | None = Field(None, description="those later than that; by default from now on")


class HistoryQuery(Parameters):
    """Which occurrences."""

    before: Moment | None = Field(None, description="`next` of the page before")
    limit: int = Field(100, ge=1, le=500)


class DeletionQuery(Parameters):
    """What becomes of its jobs."""

    cancel_running: bool = Field(default=False, description="cancel those that have not ended")
