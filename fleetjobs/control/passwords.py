"""Passwords: people choose them, so they are hashed slowly, by Argon2id (RFC 9106)."""

from functools import cache
from secrets import token_urlsafe
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from fleetjobs.errors import InvalidDocument

SHORTEST, LONGEST = 10, 1000  #: characters
_HASHER = PasswordHasher()  # the library's defaults: 64 MiB and three passes
_ROOM = BoundedSemaphore(2)  # at once: each takes that much memory


def hash_password(password: str) -> str:
    """What is kept of it. Raises InvalidDocument if it is too short or too long."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise InvalidDocument(f"a password has {SHORTEST} to {LONGEST} characters")
    with _ROOM:
        return _HASHER.hash(password)


def is_password(password: str, digest: str | None) -> bool:
    """Whether what was kept is of this password; takes as long if nothing was."""
    with _ROOM:
        try:
            return _HASHER.verify(digest or _of_nobody(), password) and digest is not None
        except (VerificationError, InvalidHashError):
            return False


@cache
def _of_nobody() -> str:
    """Stands for accounts that there are not, so that asking for one takes as long."""
    return _HASHER.hash(token_urlsafe())
