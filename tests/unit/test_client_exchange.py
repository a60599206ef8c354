"""Exchanges: what is read of the answers that servers, and proxies before them, give."""

import http.client
import io
import socket
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetjobs.client.exchange import Answer, BrokenExchange, Connection, Where

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def answer(raw: bytes) -> Answer:
    return Answer(io.BytesIO(raw))


class Played:
    """What Python's own client takes for a socket."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def makefile(self, _: str) -> io.BufferedReader:
        return io.BufferedReader(io.BytesIO(self._raw))


@given(st.lists(st.binary(min_size=1, max_size=9) | st.sampled_from([b"a\n", b"\n\n", b"\r\n"])))
def test_chunks_are_read_as_python_itself_reads_them(pieces: list[bytes]) -> None:
    body = b"".join(b"%x;ext=1\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    raw = CHUNKED + body + b"0\r\nTrailer: x\r\n\r\n"
    theirs = http.client.HTTPResponse(Played(raw))  # type: ignore[arg-type]  # as far as it is used
    theirs.begin()

    assert answer(raw).read() == b"".join(pieces)
    assert list(answer(raw)) == list(theirs)


def test_a_body_ends_where_its_length_says() -> None:
    found = answer(OK + b"Content-Length: 3\r\nX: 1\r\nx: 2\r\n\r\nabcHTTP/1.1 ")

    assert found.read() == b"abc"
    assert found.headers["x"] == "1, 2"
    assert not found.will_close


@pytest.mark.parametrize("head", [b"HTTP/1.0 200 OK\r\n", OK, OK + b"Connection: close\r\n"])
def test_a_body_without_a_length_ends_with_the_connection(head: bytes) -> None:
    found = answer(head + b"Content-Type: Text/Event-Stream; charset=utf-8\r\n\r\na\nb")

    assert list(found) == [b"a\n", b"b"]
    assert found.media_type == "text/event-stream"
    assert found.will_close


def test_what_is_said_on_the_way_is_passed_over() -> None:
    found = answer(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 Nothing\r\n\r\nrest")

    assert (found.status, found.reason, found.read()) == (204, "Nothing", b"")
    assert "link" not in found.headers


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: 1\r\n",
        OK + b"A: 1\r\n" * 1000,
        OK + b"A: " + b"1" * 100_000,
        OK + b"Content-Length: 3\r\n\r\nab",
        CHUNKED + b"3\r\nab",
        CHUNKED + b"3\r\nabc\r\n",
        CHUNKED + b"three\r\nabc\r\n",
    ],
)
def test_what_is_no_answer_is_not_taken_for_one(raw: bytes) -> None:
    with pytest.raises(BrokenExchange):
        answer(raw).read()


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("http://h", ("h", 80, False, "h")),
        ("https://[::1]:99", ("::1", 99, True, "[::1]:99")),
        ("https://u:p@h.example", ("h.example", 443, True, "h.example")),
        ("http://bücher.example", ("bücher.example", 80, False, "xn--bcher-kva.example:80")),
    ],
)
def test_a_server_is_where_its_address_says(url: str, where: tuple[str, int, bool, str]) -> None:
    assert Where.of(urlsplit(url)) == where


def test_no_header_smuggles_in_another() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
        connection = Connection(Where(host, port, is_tls=False, name="h"), 5.0)
        with pytest.raises(ValueError, match="end of a line"):
            connection.ask("GET", "/", {"X": "a\r\nY: b"}, None)
        connection.close()
