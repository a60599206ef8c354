"""Logins: whoever guesses passwords has to wait."""

from datetime import datetime, timedelta
from threading import Lock

from fleetjobs.errors import TooOften

GUESSES = 5  #: wrong passwords of one account within
WITHIN = timedelta(minutes=5)
LIMIT = 10_000  #: accounts that are remembered; beyond it all are forgotten


class Logins:
    """Wrong passwords by account, on this server, of late. Safe from any thread."""

    def __init__(self) -> None:
        """Remember none."""
        self._failed: dict[str, list[datetime]] = {}
        self._lock = Lock()

    def check(self, account: str, now: datetime) -> None:
        """Let an account pass that was not guessed at too often. Raises TooOften."""
        with self._lock:
            if len(self._recent(account, now)) >= GUESSES:
                raise TooOften(f"{GUESSES} wrong passwords for {account[:60]}; wait some minutes")

    def fail(self, account: str, now: datetime) -> None:
        """Remember a wrong one."""
        with self._lock:
            if len(self._failed) >= LIMIT:
                self._failed.clear()
            self._failed[account] = [*self._recent(account, now), now]

    def forget(self, account: str) -> None:
        """It was the right one."""
        with self._lock:
            self._failed.pop(account, None)

    def _recent(self, account: str, now: datetime) -> list[datetime]:
        return [moment for moment in self._failed.get(account, ()) if now - moment < WITHIN]
