"""Logs: what a run wrote, from the database, and from its node where that knows more."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Header, Path, Query, Response
from fastapi.sse import format_sse_event
from pydantic import Field
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from fleetjobs.access import Verb
from fleetjobs.api.access import Caller, clean_query
from fleetjobs.api.admission import REFUSED, Admission
from fleetjobs.api.asking import answers
from fleetjobs.api.desk import AtDesk, Desk
from fleetjobs.api.faults import InvalidParameter
from fleetjobs.api.parameters import OfRun, Parameters, RunKey
from fleetjobs.api.problems import RESPONSES
from fleetjobs.api.rights import check_job
from fleetjobs.api.runs import find_run
from fleetjobs.api.streams import EVENT_STREAM
from fleetjobs.errors import NotFound
from fleetjobs.jobs import Run
from fleetjobs.messages import LogPart
from fleetjobs.nodes import is_alive
from fleetjobs.store.attempts import list_attempts
from fleetjobs.store.logs import Stream, log_size, read_log
from fleetjobs.store.nodes import get_node

router = APIRouter(tags=["runs"], responses=RESPONSES, dependencies=[Depends(clean_query)])

BYTES = "application/octet-stream"
SIZE_MAX = 2**48  #: no offset is larger
ATTEMPT_MAX = 2**31 - 1
LOG_MAX = 1024 * 1024  #: bytes given at a time
ANSWER_S = 5.0  #: how long a node may take to send a part
LOOK_S = 0.5  #: how soon a run that writes nothing is looked at again
ALIVE_S = 15.0  #: silence that long is broken by a comment, for proxies' sake
_LOG: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The bytes; or, followed, events `log` with the bytes in base64 and their "
        "offset, and at last `end`; or `refused` once the token counts no longer.",
        "content": {
            BYTES: {"schema": {"type": "string", "format": "binary"}},
            EVENT_STREAM: {},
        },
        "headers": {
            "X-Log-Size": {"description": "bytes the run wrote", "schema": {"type": "integer"}},
            "X-Next-Offset": {"description": "where to go on", "schema": {"type": "integer"}},
            "X-Log-Complete": {
                "description": "whether these are all bytes from the offset on, of a run that "
                "writes no more",
                "schema": {"type": "boolean"},
            },
        },
    }
}


class LogQuery(Parameters):
    """Which part of a stream."""

    offset: int | None = Field(None, ge=0, le=SIZE_MAX, description="first byte")
    limit: int = Field(LOG_MAX, ge=0, description=f"bytes; at most {LOG_MAX} are given")
    tail: int | None = Field(
        None,
        ge=-1,
        le=SIZE_MAX,
        description="the last bytes: of what is kept, or while it runs of what there is; -1: all",
    )
    attempt: int | None = Field(
        None, ge=1, le=ATTEMPT_MAX, description="of which attempt; by default the latest"
    )
    follow: bool = Field(
        default=False, description="send what is written, as events, until the run ends"
    )

    def start(self, size: int) -> int:
        """The first byte, of so many. Raises InvalidParameter."""
        if self.tail is None:
            return self.offset or 0
        if self.offset is not None:
            raise InvalidParameter("offset and tail exclude each other", field="tail")
        return max(size - self.tail, 0) if self.tail >= 0 else 0


@dataclass(frozen=True, slots=True)
class Part:
    """Some of a stream."""

    content: bytes
    size: int  # bytes written, as far as is known
    is_over: bool  # the run writes no more, and these are the last of its bytes
    is_known: bool = True  # False: only the node could tell, and it does not answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the database knows of a stream."""

    attempt: int
    kept: int  # bytes
    size: int  # bytes written
    has_ended: bool
    content: bytes = b""  # of what is kept
    may_ask: bool = False  # the node may have more, and is alive


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """One stream of one attempt, for one reader."""

    desk: Desk
    org: str
    key: RunKey
    stream: Stream
    attempt: int | None  # None: the latest, whichever that is

    async def start(self, query: LogQuery) -> int:
        """The first byte that is wanted. Raises NotFound, InvalidParameter."""
        known = await run_in_threadpool(self._look, 0, 0)
        if query.tail is None or query.tail < 0 or known.has_ended:
            return query.start(known.kept)
        return query.start((await self.read(SIZE_MAX, 1)).size)

    async def read(self, offset: int, limit: int) -> Part:
        """At most so many bytes from there on, as soon as it is known which. Raises NotFound."""
        known = await run_in_threadpool(self._look, offset, limit)
        end = offset + len(known.content)
        if known.content or not limit or (known.has_ended and end >= known.size):
            over = known.has_ended and end >= known.size
            return Part(known.content, known.size, over)
        if not known.may_ask:
            return Part(b"", known.size, is_over=False, is_known=False)
        found = await self._ask(known.attempt, offset, limit)
        if found is None:
            return Part(b"", known.size, is_over=False, is_known=False)
        over = found.is_over and offset + len(found.content) >= found.size
        return Part(found.content, found.size, over)

    async def messages(self, offset: int, admission: Admission) -> AsyncIterator[bytes]:
        """Everything from there on as events, until the run writes no more."""
        silent = 0.0
        yield format_sse_event(retry=1000, comment=f"{self.key.job} {self.key.node}")
        with self.desk.watch.follow(self.key.job) as changed:
            while not self.desk.watch.is_ending:
                if not await admission.holds():
                    yield REFUSED
                    return
                part = await self.read(offset, LOG_MAX)
                if part.content:
                    silent = 0.0
                    data = msgspec.json.encode({"offset": offset, "content": part.content})
                    offset += len(part.content)
                    yield format_sse_event(id=str(offset), event="log", data_str=data.decode())
                gone = not part.is_known and await run_in_threadpool(self._has_ended)
                if part.is_over or gone:
                    end = msgspec.json.encode({"size": part.size, "complete": part.is_over})
                    yield format_sse_event(event="end", data_str=end.decode())
                    return
                if not part.content:
                    silent += LOOK_S
                    if silent >= ALIVE_S:
                        silent = 0.0
                        yield format_sse_event(comment="alive")
                    await self.desk.watch.wait(changed, within=LOOK_S)

    def _look(self, offset: int, limit: int) -> Known:
        with self.desk.database.reading() as connection:
            run = find_run(connection, self.key, org=self.org)
            attempt = self.attempt or run.attempt
            size, ended = _standing(connection, run, attempt, self.stream)
            place = (run.job, run.node, attempt, self.stream)
            kept = log_size(connection, *place)
            content = b""
            if offset < kept and limit:
                content = read_log(connection, *place, offset=offset, limit=limit)
            node = get_node(connection, run.node, org=self.org)
        begun = ended or run.queued_at is not None
        return Known(
            attempt=attempt,
            kept=kept,
            size=size,
            has_ended=ended,
            content=content,
            may_ask=begun and node is not None and is_alive(node, self.desk.clock()),
        )

    def _has_ended(self) -> bool:
        return self._look(0, 0).has_ended

    async def _ask(self, attempt: int, offset: int, limit: int) -> LogPart | None:
        """What the node says; None if it says nothing, or has nothing."""

        def ask() -> str:
            return self.desk.control.questions.ask_log(
                self.key.node,
                org=self.org,
                job=self.key.job,
                attempt=attempt,
                stream=self.stream.value,
                offset=offset,
                limit=limit,
                within=timedelta(seconds=ANSWER_S),
            )

        question = await run_in_threadpool(ask)
        found = await answers(self.desk, [question], org=self.org, within=ANSWER_S)
        answer = found.get(self.key.node)
        return None if answer is None else answer.log


def _standing(connection: Connection, run: Run, attempt: int, stream: Stream) -> tuple[int, bool]:
    """How many bytes the attempt wrote, and whether that is all. Raises NotFound."""
    if attempt == run.attempt:
        size = run.stdout_size if stream is Stream.STDOUT else run.stderr_size
        return size, run.state.is_terminal
    for earlier in list_attempts(connection, run.job, run.node):
        if earlier.attempt == attempt:
            size = earlier.stdout_size if stream is Stream.STDOUT else earlier.stderr_size
            return size, True
    raise NotFound(f"job {run.job} has no attempt {attempt} on {run.node}")


@router.get(
    "/jobs/{job}/runs/{node}/logs/{stream}",  # noqa: FAST003  OfRun reads both
    summary="What a run wrote, or writes",
    response_class=Response,
    responses=_LOG,
)
async def log(
    desk: AtDesk,
    caller: Caller,
    key: OfRun,
    stream: Annotated[Stream, Path()],
    query: Annotated[LogQuery, Query()],
    last_event_id: Annotated[str | None, Header(description="resumes a stream")] = None,
) -> Response:
    """The bytes of a stream, exactly as written, from `offset` on or the last `tail` of them.

    What the database does not have is asked of the node: while the run is at work, and of long
    logs later.
    """
    org = await run_in_threadpool(check_job, desk, caller, Verb.VIEW_LOG, key.job, [key.node])
    wanted = Log(desk=desk, org=org, key=key, stream=stream, attempt=query.attempt)
    start = await wanted.start(query)
    if query.follow:
        if last_event_id and last_event_id.isascii() and last_event_id.isdecimal():
            start = min(int(last_event_id[:20]), SIZE_MAX)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        messages = wanted.messages(start, Admission(desk, caller))
        return StreamingResponse(messages, media_type=EVENT_STREAM, headers=headers)
    part = await wanted.read(start, min(query.limit, LOG_MAX))
    headers = {
        "X-Log-Size": str(part.size),
        "X-Next-Offset": str(start + len(part.content)),
        "X-Log-Complete": str(part.is_over).lower(),
    }
    return Response(part.content, media_type=BYTES, headers=headers)
