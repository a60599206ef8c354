"""Metadata: where tables are entered, how constraints are named, and what tables are made of."""

from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ColumnElement, MetaData, TextClause

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def one_of(column: str, kind: type[StrEnum]) -> CheckConstraint:
    """A plain check: the native enumerations of PostgreSQL are painful to change."""
    members = ", ".join(f"'{member}'" for member in kind)
    return CheckConstraint(f"{column} IN ({members})", name=column)


def where(condition: ColumnElement[bool] | TextClause) -> dict[str, Any]:
    """The index holds only rows of which that is true."""
    return {"sqlite_where": condition, "postgresql_where": condition}
