"""Parameters: types that paths, query strings and headers are read into."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, Header, Path
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from fleetjobs.errors import InvalidDocument, NotFound
from fleetjobs.jobs import Kind
from fleetjobs.names import JobId, NodeId, job_id, node_id
from fleetjobs.states import State

PAGE = 100  #: items on a page, if nobody says otherwise
PAGE_MAX = 500  #: more are not given, whatever is asked
WAIT_MAX_S = 60  #: the longest a request may wait for a job
SEQ_MAX = 2**63 - 1
FIRST, LAST = datetime(1000, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)\Z")
_WAIT = re.compile(r"(?:\A|[,;\s])wait\s*=\s*\"?(\d{1,9})\"?(?=\Z|[,;\s])")


def _moment(text: Any) -> Any:
    """Pydantic would take a bare number for a time."""
    if isinstance(text, str) and not _RFC_3339.match(text):
        raise ValueError("not a time of RFC 3339 with a zone, such as 2026-12-01T04:00:00Z")
    return text


def _within(moment: datetime) -> datetime:
    """In UTC, at the ends of time what can still be reckoned with: nothing we keep lies beyond."""
    if not FIRST <= moment <= LAST:
        return FIRST if moment < FIRST else LAST
    return moment.astimezone(UTC)


def _words(texts: Any) -> Any:
    """Lists come as `a=1&a=2` or as `a=1,2`."""
    if not isinstance(texts, list):
        return texts
    return [word for text in texts for word in str(text).split(",") if word]


Moment = Annotated[
    datetime,
    BeforeValidator(_moment),
    AfterValidator(_within),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
States = Annotated[list[State], BeforeValidator(_words)]
Kinds = Annotated[list[Kind], BeforeValidator(_words)]
Words = Annotated[list[str], BeforeValidator(_words)]


class Parameters(BaseModel):
    """A query string; what it does not know it refuses, for a misspelt filter lists everything."""

    model_config = ConfigDict(extra="forbid")


class Part(Parameters):
    """Which part of a list."""

    cursor: str | None = Field(None, max_length=200, description="`next` of the page before")
    limit: int = Field(PAGE, ge=1, description=f"items on a page; at most {PAGE_MAX} are given")

    @property
    def size(self) -> int:
        """Items to give."""
        return min(self.limit, PAGE_MAX)


@dataclass(frozen=True, slots=True)
class RunKey:
    """Which run is meant."""

    job: JobId
    node: NodeId


@dataclass(frozen=True, slots=True)
class Terms:
    """How a submission is to be taken."""

    patience: float  # seconds to wait for the job's end
    idempotency_key: str | None  # names the job, as its id does


async def _known_job(job: Annotated[str, Path(description="a job's id")]) -> JobId:
    try:
        return job_id(job)
    except InvalidDocument:
        raise NotFound(f"there is no job {job[:60]!r}") from None


async def _known_node(node: Annotated[str, Path(description="a node's identity")]) -> NodeId:
    try:
        return node_id(node)
    except InvalidDocument:
        raise NotFound(f"there is no node {node[:60]!r}") from None


async def _terms(
    prefer: Annotated[str | None, Header(description="`wait=seconds` for the end")] = None,
    idempotency_key: Annotated[
        str | None, Header(min_length=1, max_length=200, description="names the job, as id does")
    ] = None,
) -> Terms:
    found = _WAIT.search(prefer or "")
    return Terms(float(min(int(found[1]), WAIT_MAX_S)) if found else 0.0, idempotency_key)


InJob = Annotated[JobId, Depends(_known_job)]
OnNode = Annotated[NodeId, Depends(_known_node)]


async def _known_run(job: InJob, node: OnNode) -> RunKey:
    return RunKey(job, node)


OfRun = Annotated[RunKey, Depends(_known_run)]
OnTerms = Annotated[Terms, Depends(_terms)]
