"""Transport: HTTP to the server, on a connection that is kept."""

import contextlib
import json
import socket
from collections.abc import Iterable, Mapping
from types import MappingProxyType, TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import quote, urlencode, urlsplit

from fleetjobs.client.exchange import Answer, Connection, NoTrust, Where
from fleetjobs.client.profile import Profile
from fleetjobs.errors import InvalidSetting, Problem, ServerAway

ROOT = "/api/v1"
REFUSED = 300  #: statuses from there on are none that we asked for
CONNECT_S = 5.0
ANSWER_S = 30.0  #: the server answers within seconds; only streams take longer
Query = Iterable[tuple[str, str | int | None]]


class _Question(NamedTuple):
    address: str
    method: str = "GET"
    accept: str = "application/json"
    headers: Mapping[str, str] = MappingProxyType({})
    body: bytes | None = None
    within: float = ANSWER_S  # seconds


class Transport:
    """Asks one server, one question at a time; not for several threads at once."""

    def __init__(self, profile: Profile) -> None:
        """Nothing is connected before the first question."""
        self._connection: Connection | None = None
        try:
            parts = urlsplit(profile.url)
            self._where = Where.of(parts)
        except ValueError as error:
            raise InvalidSetting(f"{profile.origin}: url {profile.url!r}: {error}") from None
        if not self._where.host:
            raise InvalidSetting(f"{profile.origin}: url {profile.url!r} names no host")
        self.profile = profile
        self._root = parts.path.rstrip("/") + ROOT

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        """A client that goes out of sight lets go of its connection."""
        self.close()

    def close(self) -> None:
        """Drop the connection; the next question opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def get(self, *path: str, query: Query = (), within: float = ANSWER_S) -> Any:
        """The JSON document there. Raises Problem, or ServerAway."""
        question = _Question(address=self._address(path, query), within=within)
        return _json(self._ask(question)[1])

    def get_bytes(self, *path: str, query: Query = ()) -> tuple[bytes, Mapping[str, str]]:
        """The bytes there, and the headers by lower-case name. Raises Problem, or ServerAway."""
        question = _Question(address=self._address(path, query), accept="*/*")
        answer, raw = self._ask(question)
        return raw, answer.headers

    def post(self, *path: str, body: bytes, content_type: str) -> Any:
        """What the server answers to the document. Raises Problem, or ServerAway."""
        return self.send("POST", *path, body=body, content_type=content_type)

    def send(
        self,
        method: str,
        *path: str,
        body: bytes,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
        query: Query = (),
    ) -> Any:
        """What the server answers to the document. Raises Problem, or ServerAway.

        It may be sent twice: see `_ask`.
        """
        question = _Question(
            method=method,
            address=self._address(path, query),
            headers={"Content-Type": content_type, **(headers or {})},
            body=body,
        )
        raw = self._ask(question)[1]
        return _json(raw) if raw else None

    def stream(
        self, *path: str, query: Query = (), headers: Mapping[str, str] | None = None
    ) -> tuple[Answer, Connection]:
        """An answer without an end yet, on a connection of its own.

        Of events, unless the headers accept something else. Raises Problem, or ServerAway.
        """
        question = _Question(
            address=self._address(path, query),
            accept="text/event-stream",
            headers=headers or {},
        )
        try:
            return self._begin(self._connect(), question)
        except OSError as error:
            raise self._away(error) from None

    def post_stream(
        self, *path: str, query: Query = (), body: bytes, content_type: str
    ) -> tuple[Answer, Connection]:
        """The beginning of the answer to the document: of events, if the server has any to tell.

        The kept connection is given away with it. It may be sent twice: see `_ask`.
        Raises Problem, or ServerAway.
        """
        question = _Question(
            method="POST",
            address=self._address(path, query),
            accept="text/event-stream, application/json",
            headers={"Content-Type": content_type},
            body=body,
        )
        kept, self._connection = self._connection, None
        if kept is not None:
            with contextlib.suppress(ConnectionError):
                kept.sock.settimeout(question.within)
                return self._begin(kept, question)
        try:
            return self._begin(self._connect(), question)
        except OSError as error:
            raise self._away(error) from None

    def _begin(self, connection: Connection, question: "_Question") -> tuple[Answer, Connection]:
        """The beginning of an answer. Raises Problem, OSError; then the connection is closed."""
        try:
            answer = self._say(connection, question)
            refusal = answer.read() if answer.status >= REFUSED else None
        except BaseException:
            connection.close()
            raise
        if refusal is not None:
            connection.close()
            raise _problem(answer, refusal)
        return answer, connection

    def _ask(self, question: "_Question") -> tuple[Answer, bytes]:
        was_kept = self._connection is not None
        try:
            answer, raw = self._exchange(question)
        except ConnectionError as error:
            # A kept connection may have been closed by the server meanwhile. Asking once more is
            # safe whatever it was: a request with the same id is the same job, and what changes a
            # job changes nothing the second time.
            self.close()
            if not was_kept:
                raise self._away(error) from None
            return self._ask(question)
        except OSError as error:
            self.close()
            raise self._away(error) from None
        except BaseException:  # ctrl-C: what is half read would be taken for the next answer
            self.close()
            raise
        if answer.status >= REFUSED:
            raise _problem(answer, raw)
        return answer, raw

    def _exchange(self, question: "_Question") -> tuple[Answer, bytes]:
        connection = self._connection = self._connection or self._connect()
        connection.sock.settimeout(question.within)
        answer = self._say(connection, question)
        raw = answer.read()
        if answer.will_close:
            self.close()
        return answer, raw

    def _say(self, connection: Connection, question: "_Question") -> Answer:
        headers = {**self._headers(question.accept), **question.headers}
        return connection.ask(question.method, question.address, headers, question.body)

    def _connect(self) -> Connection:
        try:
            connection = Connection(self._where, CONNECT_S)
        except OSError as error:
            raise self._away(error) from None
        connection.sock.settimeout(ANSWER_S)
        return connection

    def _headers(self, accept: str) -> dict[str, str]:
        headers = {"Accept": accept, "User-Agent": "fleetjobs"}
        if self.profile.as_org:
            headers["As-Org"] = quote(self.profile.as_org, safe="@ ")
        if self.profile.token:
            headers["Authorization"] = f"Bearer {self.profile.token}"
        return headers

    def _address(self, path: tuple[str, ...], query: Query = ()) -> str:
        address = self._root + "".join("/" + quote(part, safe="@") for part in path)
        pairs = [(name, value) for name, value in query if value is not None]
        return f"{address}?{urlencode(pairs)}" if pairs else address

    def _away(self, error: Exception) -> ServerAway:
        if isinstance(error, NoTrust):
            away = ServerAway(f"the server at {self.profile.url} is not to be trusted: {error}")
            away.add_note("\n".join(error.__notes__))
            return away
        return ServerAway(f"the server at {self.profile.url} does not answer: {_in_words(error)}")


def _in_words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, socket.gaierror):
        return "its name cannot be resolved"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    text = str(getattr(error, "strerror", None) or error or type(error).__name__)
    return text[:1].lower() + text[1:]


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise ServerAway(f"what answers is no fleetjobs server: no JSON but {raw[:40]!r}") from None


def _problem(answer: Answer, raw: bytes) -> Problem:
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        document = {"title": f"HTTP {answer.status} {answer.reason}"}
    return Problem(answer.status, document)
