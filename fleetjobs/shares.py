"""Shares: `5` or `10%` of some nodes or legs."""

from typing import Annotated

from msgspec import Meta

from fleetjobs.errors import InvalidPlan

_WHOLE = 100  #: percent

Share = Annotated[
    str, Meta(pattern=r"\A[0-9]{1,9}%?\Z", description="a number of nodes, or a percentage")
]


def check_share(
    share: str, name: str, *, least: int = 0, error: type[InvalidPlan] = InvalidPlan
) -> None:
    """Let a share pass that can be meant. Raises InvalidPlan, or `error`, calling it by name."""
    number = int(share.removesuffix("%"))
    if number < least:
        raise error(f"{name} is {share}; the least is {least}")
    if share.endswith("%") and number > _WHOLE:
        raise error(f"{name} is {share}; the most is 100%")


def share_of(total: int, share: str, *, least: int = 0) -> int:
    """How many of so many; percentages are rounded down, but to `least` at the least.

    Never more than there are.
    """
    number = int(share.removesuffix("%"))
    if share.endswith("%"):
        number = total * number // _WHOLE
    return min(total, max(least, number))
