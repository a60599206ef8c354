"""Logins: whoever guesses passwords has to wait."""

from collections import OrderedDict
from datetime import datetime, timedelta
from threading import Lock

from fleetjobs.errors import TooOften

GUESSES = 5  #: wrong passwords of one account within
WITHIN = timedelta(minutes=5)
LIMIT = 100_000  #: invented names that are remembered: more than there is time to try

_Failed = OrderedDict[str, list[datetime]]  # when, by name; who failed last stands last


class Logins:
    """Wrong passwords by account, on this server, of late. Safe from any thread.

    Names that nobody has are treated as accounts are, or one could tell which there are; but
    however many are invented, no account is forgotten for them.
    """

    def __init__(self) -> None:
        """Remember none."""
        self._accounts = _Failed()
        self._invented = _Failed()
        self._lock = Lock()

    def check(self, account: str, now: datetime) -> None:
        """Let an account pass that was not guessed at too often. Raises TooOften."""
        with self._lock:
            if len(self._recent(account, now)) >= GUESSES:
                raise TooOften(f"{GUESSES} wrong passwords for {account[:60]}; wait some minutes")

    def fail(self, account: str, now: datetime, *, exists: bool) -> int:
        """Remember a wrong one; how many there were of late."""
        with self._lock:
            recent = [*self._recent(account, now), now]
            self._forget_old(now)
            failed = self._accounts if exists else self._invented
            failed[account] = recent
            failed.move_to_end(account)
            if len(self._invented) > LIMIT:
                self._invented.popitem(last=False)
            return len(recent)

    def forget(self, account: str) -> None:
        """It was the right one."""
        with self._lock:
            self._accounts.pop(account, None)
            self._invented.pop(account, None)

    def _recent(self, account: str, now: datetime) -> list[datetime]:
        moments = self._accounts.get(account) or self._invented.get(account) or []
        return [moment for moment in moments if now - moment < WITHIN]

    def _forget_old(self, now: datetime) -> None:
        for failed in (self._accounts, self._invented):
            while failed and now - next(iter(failed.values()))[-1] >= WITHIN:
                failed.popitem(last=False)
