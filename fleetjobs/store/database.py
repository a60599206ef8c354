"""Database: the connection to the results database, SQLite or PostgreSQL."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import (
    ARRAY,
    Connection,
    Engine,
    String,
    bindparam,
    create_engine,
    event,
    func,
    select,
)
from sqlalchemy import exc as wrong
from sqlalchemy.engine import URL, make_url

from fleetjobs.errors import DatabaseAway, InvalidSetting
from fleetjobs.store import bells
from fleetjobs.store.columns import from_json, to_json

MIGRATING = 7_261_001  #: the advisory lock under which PostgreSQL is migrated: one at a time
_BELLS = "bells"
_PATIENCE_S = 10
_WIRE = {  #: libpq's words; without them a wire that swallows all holds a loop for a quarter hour
    "connect_timeout": str(_PATIENCE_S),
    "tcp_user_timeout": "30000",  # ms without an acknowledgement of what was sent
    "keepalives": "1",
    "keepalives_idle": "15",  # s until one who only waits for an answer asks whether it is there
    "keepalives_interval": "5",
    "keepalives_count": "3",
}
_AWAY = (wrong.OperationalError, wrong.InterfaceError, wrong.TimeoutError)


class Database:
    """The results database; safe to use from any thread, not to be carried over a fork."""

    def __init__(self, engine: Engine) -> None:
        """Take an engine; `open` makes one."""
        self._engine = engine

    @classmethod
    def open(cls, url: str) -> "Database":
        """The database at `sqlite:///path` or `postgresql://...`; connects at first use.

        How long to wait for PostgreSQL's wire is up to the URL (`?tcp_user_timeout=...`), or to us
        where it says nothing. Raises InvalidSetting.
        """
        try:
            address = make_url(url)
        except wrong.ArgumentError:
            raise InvalidSetting(f"{url.split('://', 1)[0]!r}: not a database URL") from None
        kind = address.get_backend_name()
        if kind == "sqlite" and address.database not in {None, "", ":memory:"}:
            return cls(_sqlite(address))
        if kind == "postgresql":
            return cls(_postgresql(address))
        raise InvalidSetting(
            f"{address.render_as_string()!r}: not sqlite:///path or postgresql://..."
        )

    def migrate(self) -> None:
        """Bring the tables up to date; does nothing when they are. Raises DatabaseAway."""
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with self.transaction() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(select(func.pg_advisory_xact_lock(MIGRATING)))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A transaction that may write; committed at the end, rolled back on an exception.

        SQLite lets one writer in at a time; others wait up to ten seconds. Raises DatabaseAway.
        """
        with _away(), self._engine.connect() as connection:
            rung: list[tuple[str, str]] = []
            connection.info[_BELLS] = rung
            with connection.begin():
                self._begin(connection, "BEGIN IMMEDIATE")  # a reader that turns writer may fail
                yield connection
                if rung and self._engine.dialect.name == "postgresql":
                    _notify(connection, list(dict.fromkeys(rung)))
        if self._engine.dialect.name == "sqlite":
            for topic, payload in dict.fromkeys(rung):
                bells.ring_sockets(self._bells, topic, payload)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that only reads: waits for no writer. Raises DatabaseAway."""
        with _away(), self._engine.connect() as connection, connection.begin():
            self._begin(connection, "BEGIN")
            yield connection

    def listen(self, *topics: str) -> bells.Listener:
        """A listener for these topics. Raises DatabaseAway."""
        if self._engine.dialect.name == "sqlite":
            return bells.SocketListener(self._bells, topics)
        address = self._engine.url.set(drivername="postgresql")
        return bells.NotificationListener(address.render_as_string(hide_password=False), topics)

    def size(self) -> int:
        """Bytes that it takes on disk. Raises DatabaseAway."""
        sqlite = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
        postgresql = "SELECT pg_database_size(current_database())"
        is_sqlite = self._engine.dialect.name == "sqlite"
        with self.reading() as connection:
            return int(connection.exec_driver_sql(sqlite if is_sqlite else postgresql).scalar_one())

    def vacuum(self, *, full: bool) -> None:
        """Tidy up, outside of any transaction; `full`: write all files anew. Raises DatabaseAway.

        SQLite lets nobody else write during a full one, PostgreSQL nobody else read.
        """
        statements = ["PRAGMA optimize", "PRAGMA wal_checkpoint(TRUNCATE)"]
        if self._engine.dialect.name == "postgresql":
            statements = ["VACUUM (FULL, ANALYZE)" if full else "VACUUM (ANALYZE)"]
        elif full:
            statements.insert(0, "VACUUM")
        with _away(), contextlib.closing(self._engine.raw_connection()) as raw:
            if self._engine.dialect.name == "postgresql":
                raw.driver_connection.autocommit = True  # type: ignore[union-attr]  # psycopg's
            try:
                for statement in statements:
                    raw.cursor().execute(statement)
            finally:
                raw.invalidate()  # it is not as the pool's others are

    def close(self) -> None:
        """Close all connections; a later use opens new ones."""
        self._engine.dispose()

    def _begin(self, connection: Connection, statement: str) -> None:
        """Writers queue for SQLite's lock at the start.

        Said here: whoever listens to the engine's `begin` has it look for listeners everywhere.
        """
        if self._engine.dialect.name == "sqlite":
            connection.exec_driver_sql(statement)

    @property
    def _bells(self) -> Path:
        return Path(f"{self._engine.url.database}-bells")


def ring(connection: Connection, topic: str, payload: str = "") -> None:
    """Ring a bell when the connection's transaction is committed."""
    connection.info[_BELLS].append((topic, bells.fitting(payload)))


def ring_changes(connection: Connection, moved: AbstractSet[str]) -> None:
    """Tell who follows jobs that these have changed; if there are none, nobody."""
    if moved:
        ring(connection, bells.CHANGES, ",".join(sorted(moved)))


def _notify(connection: Connection, rung: list[tuple[str, str]]) -> None:
    """PostgreSQL passes them on when it commits; all by one statement, for many may have rung."""
    topics, payloads = zip(*rung, strict=True)
    channels = [bells.channel(topic) for topic in topics]
    connection.execute(_NOTIFYING, {"channels": channels, "payloads": list(payloads)})


_RUNG = (
    func.unnest(
        bindparam("channels", type_=ARRAY(String)), bindparam("payloads", type_=ARRAY(String))
    )
    .table_valued("channel", "payload")
    .render_derived()
)
_NOTIFYING = select(func.pg_notify(_RUNG.c.channel, _RUNG.c.payload))


@contextmanager
def _away() -> Iterator[None]:
    try:
        yield
    except _AWAY as error:
        cause = getattr(error, "orig", None) or error
        raise DatabaseAway(f"the database does not answer: {cause}") from error


def _postgresql(address: URL) -> Engine:
    unsaid = {name: value for name, value in _WIRE.items() if name not in address.query}
    return create_engine(
        address.set(drivername="postgresql+psycopg").update_query_dict(unsaid),
        json_serializer=to_json,
        json_deserializer=from_json,
        pool_pre_ping=True,  # a restarted server costs nobody an error
        pool_size=5,
        max_overflow=35,
        pool_timeout=_PATIENCE_S,
        connect_args={"options": "-c timezone=UTC"},
    )


def _sqlite(address: URL) -> Engine:
    _create_file(Path(str(address.database)))
    engine = create_engine(
        address.set(drivername="sqlite+pysqlite"),
        json_serializer=to_json,
        json_deserializer=from_json,
        pool_size=5,
        max_overflow=35,
        pool_timeout=_PATIENCE_S,
        connect_args={"timeout": _PATIENCE_S},
    )
    event.listen(engine, "connect", _prepare)
    return engine


def _create_file(path: Path) -> None:
    """An empty database in WAL mode, unless there is one. Raises InvalidSetting.

    Made aside and linked in: while one process changes the mode of a database, another that does
    too is refused at once. Requests carry secrets, so only the owner may read; SQLite gives its
    side files the same mode.
    """
    if path.exists():
        return
    aside = path.with_name(f"{path.name}.{uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(aside, os.O_CREAT | os.O_EXCL, 0o600))
        with contextlib.closing(sqlite3.connect(aside)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(aside)
        aside.unlink()
    except (OSError, sqlite3.Error) as error:
        raise InvalidSetting(f"{path}: no database can be made there: {error}") from None


def _prepare(connection: Any, record: object) -> None:  # noqa: ARG001  SQLAlchemy's signature
    connection.isolation_level = None  # Python's module begins transactions too late; we do it
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # a committed job survives the power cut
    connection.execute("PRAGMA foreign_keys = ON")
