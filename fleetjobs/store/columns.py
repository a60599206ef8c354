"""Columns: the types that SQLAlchemy has no ready answer for."""

from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import DateTime, Dialect, String, TypeDecorator


class Moment(TypeDecorator[datetime]):
    """An aware UTC datetime; SQLite, which knows no zones, keeps it in UTC as text."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002  SQLAlchemy's signature
        """Refuse a naive time: nobody could tell what it means. Raises ValueError."""
        if value is None:
            return None
        if value.tzinfo is UTC:
            return value
        if value.tzinfo is None:
            raise ValueError(f"{value} has no zone")
        return value.astimezone(UTC)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:
        """Put the zone back; most are null, and cost nothing."""
        read = self.impl_instance.result_processor(dialect, coltype) or _as_it_is

        def zoned(value: Any) -> Any:
            return None if value is None else _in_utc(read(value))

        return zoned


def _as_it_is(value: Any) -> Any:
    return value


def _in_utc(moment: Any) -> Any:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


class Word(TypeDecorator[StrEnum]):
    """A member of a closed set, kept as its text."""

    impl = String
    cache_ok = True

    def __init__(self, kind: type[StrEnum]) -> None:
        """Read and write members of `kind`."""
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002  SQLAlchemy's signature
        """The member's text."""
        return None if value is None else str(value)

    def result_processor(
        self,
        dialect: Dialect,  # noqa: ARG002  SQLAlchemy's signature
        coltype: object,  # noqa: ARG002  SQLAlchemy's signature
    ) -> Callable[[Any], StrEnum | None]:
        """A look-up in a table: calling the enumeration costs three times as much."""
        members: dict[str | None, StrEnum | None] = {str(member): member for member in self.kind}
        members[None] = None
        return members.__getitem__


def to_json(value: object) -> str:
    """The value as JSON text."""
    return msgspec.json.encode(value).decode()


def from_json(text: str | bytes) -> Any:
    """The value of JSON text."""
    return msgspec.json.decode(text)


def printable(text: str) -> str:
    """The text without NUL, which PostgreSQL's text cannot hold."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")
