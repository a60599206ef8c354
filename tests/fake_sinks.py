"""Sinks that listen: a mail server and a web server that keep what they are given."""

import json
import socketserver
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass
class Mailbox:
    """What a mail server was given; it refuses the first so many."""

    port: int = 0
    refusals: int = 0
    mails: list[Message] = field(default_factory=list)

    @property
    def subjects(self) -> list[str]:
        """Their subjects, in the order in which they came."""
        return [" ".join(str(mail["Subject"]).split()) for mail in self.mails]


@contextmanager
def mail_server(refusals: int = 0) -> Iterator[Mailbox]:
    """A mail server as RFC 5321 has it, and no more of it than is needed to take a message."""
    box = Mailbox(refusals=refusals)

    class Session(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self._say("220 here")
            while words := self.rfile.readline().decode().split():
                match words[0].upper():
                    case "QUIT":
                        self._say("221 bye")
                        return
                    case "DATA" if box.refusals > 0:
                        box.refusals -= 1
                        self._say("451 not now")
                    case "DATA":
                        self._say("354 go on")
                        self._take()
                        self._say("250 kept")
                    case _:
                        self._say("250 fine")

        def _take(self) -> None:
            lines = iter(self.rfile.readline, b".\r\n")
            box.mails.append(message_from_bytes(b"".join(lines)))

        def _say(self, text: str) -> None:
            self.wfile.write(f"{text}\r\n".encode())

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session) as server:
        server.daemon_threads = True
        box.port = server.server_address[1]
        with _serving(server):
            yield box


@dataclass
class Hook:
    """What a web server was given: headers and bodies; it answers as it is told."""

    url: str = ""
    status: int = 200
    calls: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    @property
    def documents(self) -> list[dict[str, Any]]:
        """What came, in order."""
        return [json.loads(body) for _, body in self.calls]


@contextmanager
def web_server() -> Iterator[Hook]:
    """A web server that takes what is posted."""
    hook = Hook()

    class Session(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hook.calls.append((dict(self.headers), body))
            self.send_response(hook.status)
            self.send_header("Location", "http://127.0.0.1:9/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Session) as server:
        hook.url = f"http://127.0.0.1:{server.server_address[1]}/hook?room=1"
        with _serving(server):
            yield hook


@contextmanager
def _serving(server: socketserver.TCPServer) -> Iterator[None]:
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield
    server.shutdown()
    thread.join()
