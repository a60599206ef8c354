"""Targets: expressions that pick nodes."""

from msgspec import Struct


class Target(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which nodes are meant; all parts must hold. An empty target means every node of the org."""

    identities: tuple[str, ...] = ()  # names, or /regex/; any of them
    facts: tuple[str, ...] = ()  # fact=value and the other comparisons; all of them
    classes: tuple[str, ...] = ()  # names, or /regex/; all of them
    agents: tuple[str, ...] = ()  # names; all of them
    compound: str | None = None  # and or not ( ) over the above
    org: str | None = None  # only for callers who may act in more than one
    limit: str | None = None  # "5" or "10%"; None: no limit
    method: str = "first"  # how a limit picks: first (by name) or random
    seed: int | None = None  # of the random pick
