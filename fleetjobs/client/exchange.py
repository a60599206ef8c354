"""Exchange: a question to the server and its answer, by HTTP/1.1 (RFC 9112).

Only what a server of ours and proxies before it say. Python's own client reads the head of each
answer as if it were mail, and loads that and TLS with every command: a tenth of its time.
"""

import socket
from collections.abc import Iterator, Mapping
from typing import BinaryIO, NamedTuple
from urllib.parse import SplitResult

LINE_MOST = 64 * 1024  #: bytes of a line of the head
LINES_MOST = 200  #: lines of the head
PIECE = 64 * 1024  #: bytes read at once
_NO_BODY = frozenset({204, 304})
_FINAL = 200  #: what is below is said on the way


class BrokenExchange(ConnectionError):
    """The answer ended in its midst, or is no HTTP."""


class NoTrust(ConnectionError):
    """What answers could not prove by TLS that it is the server we ask; a note says what to do."""


class Where(NamedTuple):
    """A server, as its address names it."""

    host: str
    port: int
    is_tls: bool
    name: str  # host and port as the address has them

    @classmethod
    def of(cls, parts: SplitResult) -> "Where":
        """Of a URL with a host. Raises ValueError for a port that there is not."""
        is_tls = parts.scheme == "https"
        host, port = parts.hostname or "", parts.port or (443 if is_tls else 80)
        name = parts.netloc.rpartition("@")[2]
        return cls(host, port, is_tls, name if name.isascii() else f"{_ascii(host)}:{port}")


class Answer:
    """What the server answered; its body is read once, whole or by lines."""

    def __init__(self, file: BinaryIO) -> None:
        """Read the head. Raises BrokenExchange, OSError."""
        self.status = 0
        while self.status < _FINAL:
            version, self.status, self.reason = _status(_line(file))
            self.headers: Mapping[str, str] = _headers(file)
        kept = version != "HTTP/1.0" and self.headers.get("connection", "").lower() != "close"
        length = self.headers.get("content-length", "")
        self._file = file
        self._is_chunked = "chunked" in self.headers.get("transfer-encoding", "").lower()
        self._length = int(length) if length.isdecimal() else None
        if self.status in _NO_BODY:
            self._is_chunked, self._length = False, 0
        #: whether the connection is of no use for another question
        self.will_close = not kept or (self._length is None and not self._is_chunked)

    @property
    def media_type(self) -> str:
        """Of the body, without parameters; empty: not said."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def read(self) -> bytes:
        """All of the body. Raises BrokenExchange, OSError."""
        return b"".join(self._pieces())

    def __iter__(self) -> Iterator[bytes]:
        """Its lines as they come, with their ends; the last may have none."""
        rest = b""
        for piece in self._pieces():
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                yield line + b"\n"
        if rest:
            yield rest

    def close(self) -> None:
        """Read no more."""
        self._file.close()

    def _pieces(self) -> Iterator[bytes]:
        if self._is_chunked:
            while size := _size(_line(self._file)):
                yield from self._sized(size)
                _line(self._file)
            _headers(self._file)
        elif self._length is not None:
            yield from self._sized(self._length)
        else:
            while piece := self._file.read1(PIECE):  # type: ignore[attr-defined]  # a socket's has
                yield piece

    def _sized(self, left: int) -> Iterator[bytes]:
        while left:
            piece = self._file.read(min(left, PIECE))
            if not piece:
                raise BrokenExchange("the answer ended in its midst")
            left -= len(piece)
            yield piece


class Connection:
    """To one server; one question at a time."""

    def __init__(self, where: Where, timeout_s: float) -> None:
        """Connect, in that time. Raises NoTrust, OSError."""
        self._where = where
        # Python loads its tables of international names for any host that is text
        host = where.host.encode() if where.host.isascii() else where.host
        self.sock = socket.create_connection((host, where.port), timeout_s)  # type: ignore[arg-type]  # it takes both
        try:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if where.is_tls:
                self.sock = _trusted(self.sock, where.host)
            self._file = self.sock.makefile("rb")
        except BaseException:
            self.sock.close()
            raise

    def ask(
        self, method: str, address: str, headers: Mapping[str, str], body: bytes | None
    ) -> Answer:
        """The answer, of which the head has come. Raises BrokenExchange, OSError."""
        said = {"Host": self._where.name, "Accept-Encoding": "identity", **headers}
        if body is not None:
            said["Content-Length"] = str(len(body))
        lines = [f"{method} {address} HTTP/1.1", *(f"{name}: {said[name]}" for name in said)]
        if any("\r" in line or "\n" in line for line in lines):
            raise ValueError("a header holds the end of a line")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        self.sock.sendall(head + (body or b""))
        return Answer(self._file)

    def close(self) -> None:
        """Let go of it."""
        self._file.close()
        self.sock.close()


def _trusted(sock: socket.socket, host: str) -> socket.socket:
    """The connection in TLS, once the server has proved that it is that host. Raises NoTrust."""
    import ssl  # late: it takes as long to load as all else that is needed

    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    try:
        return context.wrap_socket(sock, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        refusal = NoTrust(f"its certificate is not trusted: {error.verify_message}")
        refusal.add_note(
            "SSL_CERT_FILE=FILE names the certificates (PEM) of whoever vouches for the server;\n"
            "the url names the server as its certificate does"
        )
    except ssl.SSLError as error:
        refusal = NoTrust(f"it does not speak TLS with us: {error.reason or error}")
        refusal.add_note(
            "a url with http:// asks without TLS, where what is said may be read on the way"
        )
    raise refusal from None


def _ascii(host: str) -> str:
    return host.encode("idna").decode()


def _line(file: BinaryIO) -> bytes:
    line = file.readline(LINE_MOST)
    if not line.endswith(b"\n"):
        raise BrokenExchange("the connection was closed" if not line else "a line has no end")
    return line.rstrip(b"\r\n")


def _status(line: bytes) -> tuple[str, int, str]:
    version, _, rest = line.decode("latin-1").partition(" ")
    code, _, reason = rest.partition(" ")
    if not version.startswith("HTTP/1.") or not (len(code) == 3 and code.isdecimal()):  # noqa: PLR2004  RFC 9112, 4
        raise BrokenExchange(f"what answers is no HTTP server: {line[:40]!r}")
    return version, int(code), reason


def _headers(file: BinaryIO) -> dict[str, str]:
    """By lower-case name; what is there several times, with commas between (RFC 9110, 5.3)."""
    found: dict[str, str] = {}
    for _ in range(LINES_MOST):
        line = _line(file)
        if not line:
            return found
        name, _, value = line.decode("latin-1").partition(":")
        key, text = name.strip().lower(), value.strip()
        found[key] = f"{found[key]}, {text}" if key in found else text
    raise BrokenExchange("the head of the answer has no end")


def _size(line: bytes) -> int:
    try:
        return int(line.partition(b";")[0], 16)
    except ValueError:
        raise BrokenExchange(f"a chunk of no size: {line[:40]!r}") from None
