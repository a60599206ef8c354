"""Node keys, remembered for a while: whose signatures the collector believes."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from fleetjobs.signing import VerifyKey, claimed_key_id, node_key_id, unseal
from fleetjobs.store.database import Database
from fleetjobs.store.nodes import node_keys

FRESH = timedelta(minutes=1)  #: keys are read again when older
PATIENCE = timedelta(seconds=1)  #: a stranger makes us read them again no sooner


class NodeKeys:
    """The keys of all enrolled nodes, by key id."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        """Read them when first asked."""
        self._database = database
        self._clock = clock
        self._keys: Mapping[str, VerifyKey] = {}
        self._read_at: datetime | None = None

    def unseal(self, sealed: str) -> tuple[str, bytes]:
        """Which node signed (its key id), and the payload. Raises Unauthentic, DatabaseAway."""
        known = claimed_key_id(sealed) in self._keys
        if self._age() > (FRESH if known else PATIENCE):
            self._read()
        return unseal(sealed, self._keys)

    def _age(self) -> timedelta:
        return timedelta.max if self._read_at is None else self._clock() - self._read_at

    def _read(self) -> None:
        with self._database.reading() as connection:
            keys = node_keys(connection)
        self._keys = {node_key_id(node): key for node, key in keys.items()}
        self._read_at = self._clock()
