"""Webhooks: a notice as signed JSON, posted to an address that somebody named.

Whoever may ask for a job may name an address, and it is the coordinator that goes there: it
connects to no address of a forbidden network, checked after the name was looked up and used as it
was checked, follows no redirect, and shows nobody what came back.
"""

import contextlib
import hashlib
import hmac
import http.client
import ipaddress
import json
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from fleetjobs.errors import Undelivered
from fleetjobs.notices import FORBIDDEN, Notice

TIMEOUT_S = 10.0  #: of each step
WHOLE_S = 30.0  #: of all of it: who answers a byte at a time would keep all others waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class Poster:
    """Posts notices."""

    key: bytes | None  # None: they are not signed
    forbidden: Sequence[str] = FORBIDDEN  # networks
    whole_s: float = WHOLE_S

    def send(self, address: str, notice: Notice) -> None:
        """Post it; any 2xx means that it was taken. Raises Undelivered."""
        url = urlsplit(address)
        try:
            status = self._post(address, notice)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Undelivered(f"{url.hostname}: {error}") from None
        if not 200 <= status < 300:  # noqa: PLR2004  RFC 9110, 15.3
            raise Undelivered(f"{url.hostname} answered {status}")

    def _post(self, address: str, notice: Notice) -> int:
        url = urlsplit(address)
        body = json.dumps(notice.document).encode()
        connection = self._connect(url.scheme, url.hostname or "", url.port)
        end = threading.Timer(self.whole_s, _hang_up, [connection.sock])
        end.daemon = True
        end.start()
        try:
            if isinstance(connection.sock, ssl.SSLSocket):
                connection.sock.do_handshake()
            path = (url.path or "/") + (f"?{url.query}" if url.query else "")
            connection.request("POST", path, body, self._headers(notice, body))
            return connection.getresponse().status
        finally:
            end.cancel()
            connection.close()

    def _headers(self, notice: Notice, body: bytes) -> dict[str, str]:
        at = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "fleetjobs",
            "Fleetjobs-Notification": notice.id,
            "Fleetjobs-Timestamp": at,
        }
        if self.key is not None:
            headers["Fleetjobs-Signature"] = f"sha256={sign(self.key, at, body)}"
        return headers

    def _connect(self, scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
        """A connection to an address that is allowed, and to no other of the same name."""
        number = port or (443 if scheme == "https" else 80)
        connected = self._reach(host, number)
        connection = http.client.HTTPConnection(host, number, timeout=TIMEOUT_S)
        connection.sock = connected
        if scheme == "https":
            context = ssl.create_default_context()
            connection.sock = context.wrap_socket(
                connected, server_hostname=host, do_handshake_on_connect=False
            )
        return connection

    def _reach(self, host: str, port: int) -> socket.socket:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        for _, _, _, _, where in found:
            ip = ipaddress.ip_address(str(where[0]).partition("%")[0])
            mapped = getattr(ip, "ipv4_mapped", None) or ip
            if any(mapped in ipaddress.ip_network(network) for network in self.forbidden):
                raise OSError(f"{mapped} is in a network to which no webhook may go")
        return socket.create_connection((str(found[0][4][0]), port), timeout=TIMEOUT_S)


def _hang_up(connected: socket.socket) -> None:
    """Whoever reads from it or writes to it, in another thread, comes to its end."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connected, socket.SHUT_RDWR)  # of TLS, too: below it


def sign(key: bytes, at: str, body: bytes) -> str:
    """HMAC-SHA256 over time and body, hexadecimal; receivers compute the same."""
    return hmac.new(key, at.encode() + b"." + body, hashlib.sha256).hexdigest()
