"""Signing: Ed25519 keys and sealed documents.

A sealed document is a JWS in compact form (RFC 7515) with `alg` `Ed25519` (RFC 9864): any JOSE
library in any language can make and check it. What is verified are the very bytes that travelled.
"""

import base64
import json
import os
import re
from binascii import Error as NotBase64
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

from fleetjobs.errors import InvalidSetting, Unauthentic

COORDINATOR = "coordinator"  #: the key id that deliveries are signed by
SERVER = "server"  #: signs for callers who have no key of their own: pages, curl, schedules

_PEM = re.compile(rb"\s*-----BEGIN PRIVATE KEY-----\s+([\w+/=\s]+)-----END PRIVATE KEY-----\s*")
_PKCS8 = bytes.fromhex("302e020100300506032b657004220420")  #: then the 32 octets: RFC 8410, 10.3


def account_key_id(account: str) -> str:
    """The key id of a caller."""
    return f"account:{account}"


def node_key_id(node: str) -> str:
    """The key id of a node."""
    return f"node:{node}"


class VerifyKey(Struct, frozen=True):
    """The public half: checks signatures."""

    raw: bytes  # 32

    @property
    def text(self) -> str:
        """The key as base64url without padding, as JWK's `x` (RFC 8037) has it."""
        return _encode(self.raw).decode()

    @classmethod
    def from_text(cls, text: str) -> "VerifyKey":
        """The key from base64url. Raises InvalidSetting."""
        try:
            raw = _decode(text.strip().encode())
        except (NotBase64, ValueError):
            raw = b""
        if len(raw) != 32:  # noqa: PLR2004  RFC 8032: a public key has 32 octets
            raise InvalidSetting(f"{text[:60]!r} is not an Ed25519 public key in base64url")
        return cls(raw)


class SigningKey(Struct, frozen=True):
    """The private half, and the id it goes by."""

    id: str
    _key: Ed25519PrivateKey

    @classmethod
    def generate(cls, key_id: str) -> "SigningKey":
        """A new key; its public half begins with no `-`, for it is named on command lines."""
        while (key := cls(key_id, Ed25519PrivateKey.generate())).verify_key.text.startswith("-"):
            pass
        return key

    @classmethod
    def load(cls, key_id: str, path: Path) -> "SigningKey":
        """The key in a PEM file (PKCS 8). Raises InvalidSetting."""
        try:
            key = _read_key(path.read_bytes())
        except (OSError, ValueError, TypeError) as error:
            raise InvalidSetting(f"{path}: no private key can be read: {error}") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise InvalidSetting(f"{path}: holds a key that is not Ed25519")
        return cls(key_id, key)

    def save(self, path: Path) -> None:
        """Write the key for its owner's eyes only. Raises FileExistsError rather than overwrite."""
        from cryptography.hazmat.primitives.serialization import (
            Encoding,
            NoEncryption,
            PrivateFormat,
        )

        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            file.flush()
            os.fsync(file.fileno())

    @property
    def verify_key(self) -> VerifyKey:
        """The public half."""
        return VerifyKey(self._key.public_key().public_bytes_raw())

    def seal(self, payload: bytes) -> str:
        """The payload with its signature, as JWS compact."""
        signed = _header(self.id) + b"." + _encode(payload)
        return (signed + b"." + _encode(self._key.sign(signed))).decode()


@lru_cache(maxsize=16)
def _header(key_id: str) -> bytes:
    """As it stands before the first dot."""
    header = json.dumps({"alg": "Ed25519", "kid": key_id}, separators=(",", ":"))
    return _encode(header.encode())


def _read_key(pem: bytes) -> object:
    """The private key, of whatever kind. Raises ValueError, TypeError."""
    found = _PEM.fullmatch(pem)
    raw = base64.b64decode(found[1]) if found else b""
    if raw.startswith(_PKCS8) and len(raw) == len(_PKCS8) + 32:  # nearly always
        return Ed25519PrivateKey.from_private_bytes(raw[len(_PKCS8) :])
    # late: it reads all kinds of keys, and to load it takes longer than to sign
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    return load_pem_private_key(pem, password=None)


def unseal(sealed: str, keys: Mapping[str, VerifyKey]) -> tuple[str, bytes]:
    """Who signed (the key id), and the payload. Raises Unauthentic unless a key in `keys` did."""
    parts = sealed.encode("ascii", "replace").split(b".")
    try:
        header, payload, signature = (_decode(part) for part in parts)
        head = json.loads(header)
        key_id = str(head["kid"])
        algorithm = head["alg"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Unauthentic("not a signed document (JWS compact with alg and kid)") from None
    if algorithm != "Ed25519" or set(head) != {"alg", "kid"}:
        raise Unauthentic(f"signed in a way that is not accepted: {head!r:.120}")
    key = keys.get(key_id)
    if key is None:
        raise Unauthentic(f"no key {key_id!r:.120} is trusted here")
    try:
        Ed25519PublicKey.from_public_bytes(key.raw).verify(signature, parts[0] + b"." + parts[1])
    except InvalidSignature:
        raise Unauthentic(f"the signature is not by {key_id!r:.120}") from None
    return key_id, payload


def claimed_key_id(sealed: str) -> str:
    """Whose signature the document says it bears; believe nothing of it yet. Raises Unauthentic."""
    try:
        return str(json.loads(_decode(sealed.split(".", 1)[0].encode()))["kid"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Unauthentic("not a signed document (JWS compact with alg and kid)") from None


def peek(sealed: str) -> bytes:
    """The payload, unchecked: only for what was checked before it was kept. Raises Unauthentic."""
    try:
        return _decode(sealed.split(".")[1].encode())
    except (ValueError, IndexError):
        raise Unauthentic("not a signed document (JWS compact)") from None


def digest(sealed: str | bytes) -> str:
    """SHA-256 of the bytes as they travel, hexadecimal."""
    from hashlib import sha256  # late: it loads OpenSSL once more, and who only signs needs none

    if isinstance(sealed, str):
        sealed = sealed.encode("utf-8", "surrogatepass")  # a stranger's JSON may hold half a pair
    return sha256(sealed).hexdigest()


def _encode(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def _decode(text: bytes) -> bytes:
    """Base64url as RFC 7515 wants it; anything else in the text is a ValueError."""
    if text.translate(None, _ALPHABET):
        raise ValueError("not base64url")
    raw = base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    if _encode(raw) != text:  # the last character has bits to spare: one document, one spelling
        raise ValueError("not base64url as it is written")
    return raw


_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
