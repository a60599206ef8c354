"""Thrift: what tests within one process need not pay for again and again.

SQLAlchemy builds the text of a statement once for each engine, and every test has engines of its
own; nobody cuts the power of a test; and a server that ends need not finish its nap. What a
statement says, and what a program of its own does, stays as it is.
"""

from typing import Any

from sqlalchemy import Engine, event

from fleetjobs.api import watch
from fleetjobs.store.database import Database

_FIRST: dict[str, Engine] = {}  # by dialect: an engine that knows its server
_BUILT: dict[Any, Any] = {}


def be_thrifty() -> None:
    """From now on, in this process."""
    _share_statements()
    watch.LISTEN_S = 0.02


def _share_statements() -> None:
    """Have every database that is opened from now on use the statements that others built."""
    open_alone = Database.open.__func__  # type: ignore[attr-defined]  # of a class method

    def open_together(cls: type[Database], url: str) -> Database:
        database: Database = open_alone(cls, url)
        engine = database._engine
        event.listen(engine, "connect", _without_sync)
        first = _FIRST.get(engine.dialect.name)
        if first is None:
            event.listen(engine, "engine_connect", _note_first)
        else:  # the dialect is part of what a statement is found by
            engine.dialect = engine.pool._dialect = first.dialect
        engine.update_execution_options(compiled_cache=_BUILT)
        return database

    Database.open = classmethod(open_together)  # type: ignore[assignment,method-assign]  # on purpose


def _note_first(connection: Any) -> None:
    """Only who is connected knows which server it speaks with, and so how to speak."""
    _FIRST.setdefault(connection.engine.dialect.name, connection.engine)


def _without_sync(connection: Any, record: object) -> None:  # noqa: ARG001  SQLAlchemy's signature
    if "sqlite" in type(connection).__module__:
        connection.execute("PRAGMA synchronous = OFF")
