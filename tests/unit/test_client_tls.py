"""TLS at the client: whom it believes to be the server, and what it says of anybody else."""

import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from fleetjobs.cli.main import run
from fleetjobs.client.fleet import Fleet
from fleetjobs.client.profile import Profile
from fleetjobs.client.transport import Transport
from fleetjobs.errors import ServerAway

HOST = "localhost"


class Handler(BaseHTTPRequestHandler):
    """Has no nodes."""

    def do_GET(self) -> None:
        body = b'{"items": []}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A throw-away key and certificate that vouches for itself, in one file."""
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    key, now = Ed25519PrivateKey.generate(), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .sign(key, None)
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(secret + made.public_bytes(Encoding.PEM))
    return path


@pytest.fixture
def port(certificate: Path) -> Iterator[int]:
    """Where a server with that certificate listens."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # whom it cannot convince is no news
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def nodes(url: str) -> list[object]:
    with Transport(Profile(url=url, token="")) as transport:
        return list(Fleet(transport).nodes())


def test_a_server_that_is_vouched_for_is_asked(
    port: int, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    assert nodes(f"https://{HOST}:{port}") == []


def test_a_server_that_nobody_vouches_for_is_not_asked(
    port: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FLEETJOBS_URL", f"https://{HOST}:{port}")
    monkeypatch.delenv("FLEETJOBS_CONFIG", raising=False)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)

    assert run(["find"]) == 1
    said = capsys.readouterr().err
    assert "its certificate is not trusted: self-signed certificate" in said
    assert "SSL_CERT_FILE=FILE" in said


def test_a_server_of_another_name_is_not_asked(
    port: int, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    with pytest.raises(ServerAway, match=r"not valid for '127\.0\.0\.1'") as caught:
        nodes(f"https://127.0.0.1:{port}")

    assert "as its certificate does" in caught.value.__notes__[0]


def test_a_server_without_tls_is_told_from_one_that_is_away() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        with pytest.raises(ServerAway, match="does not speak TLS") as caught:
            nodes(f"https://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

    assert "http://" in caught.value.__notes__[0]
