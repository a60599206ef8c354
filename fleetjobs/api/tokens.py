"""Tokens: whose request it is, by its bearer token."""

from collections.abc import Callable
from datetime import datetime, timedelta

from fleetjobs.errors import Unauthenticated
from fleetjobs.store.access import Account
from fleetjobs.store.database import Database
from fleetjobs.store.tokens import account_of_token, token_digest

KEEP = timedelta(seconds=3)  #: a revoked token works for at most so much longer
LIMIT = 10_000  #: remembered tokens; beyond it all are forgotten


class Tokens:
    """Accounts by token, remembered for a moment. Unknown tokens are never remembered."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        """Look tokens up in the database."""
        self._database = database
        self._clock = clock
        self._known: dict[str, tuple[Account, datetime]] = {}

    def recall(self, token: str) -> Account | None:
        """The account, if it was looked up lately; costs no query."""
        account, until = self._known.get(token_digest(token), (None, None))
        return account if until is not None and self._clock() < until else None

    def forget(self) -> None:
        """Look all of them up again: one was revoked, or an account changed."""
        self._known.clear()

    def account(self, token: str) -> Account:
        """The account of that token. Raises Unauthenticated."""
        known = self.recall(token)
        if known is not None:
            return known
        now = self._clock()
        with self._database.reading() as connection:
            account = account_of_token(connection, token, now)
        if account is None:
            raise Unauthenticated("the token is unknown, expired or revoked")
        if len(self._known) >= LIMIT:
            self._known.clear()
        self._known[token_digest(token)] = (account, now + KEEP)
        return account
