"""Documents: how the interface answers. Times are RFC 3339 in UTC, sizes are bytes."""

from typing import Any, Generic, TypeVar

from pydantic import BaseModel, Field

T = TypeVar("T")
D = TypeVar("D", bound=BaseModel)


class Page(BaseModel, Generic[T]):
    """Some of a list; `next` asks for more."""

    items: list[T]
    next: str | None = Field(description="the cursor of the next page; null: this was the last")


def document(kind: type[D], source: object, **otherwise: Any) -> D:
    """The source as a document: what is not given here bears the same name there."""
    same = {name: getattr(source, name) for name in kind.model_fields if name not in otherwise}
    return kind.model_construct(**same, **otherwise)
