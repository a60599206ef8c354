r"""Patterns: regular expressions of other people, matched in linear time.

The dialect is RE2, as interface documents in the wild use it (`\A`, `\z`). Python's own `re`
would let one pattern such as `(a+)+$` stop a node for hours.
"""

from functools import lru_cache
from typing import Any

from msgspec import Struct

from fleetjobs.errors import InvalidPattern

LONGEST = 1_000  #: characters of a pattern
MEMORY_BYTES = 1024 * 1024  #: of a compiled pattern; RE2 refuses more


class Pattern(Struct, frozen=True):
    """A compiled expression."""

    text: str
    _compiled: Any  # re2 carries no types

    def search(self, text: str) -> bool:
        """Whether it matches anywhere in the text."""
        return self._compiled.search(text) is not None


@lru_cache(maxsize=128)  # as many as RE2's own module keeps
def compile(text: str) -> Pattern:  # noqa: A001  always read as patterns.compile
    """The pattern, ready for use. Raises InvalidPattern."""
    import re2  # late: most commands of the command line need none

    if len(text) > LONGEST:
        raise InvalidPattern(f"a pattern of {len(text)} characters; {LONGEST} are allowed")
    options = re2.Options()
    options.log_errors = False  # it would write to standard error by itself
    options.max_mem = MEMORY_BYTES
    try:
        return Pattern(text, re2.compile(text, options))
    except (re2.error, UnicodeEncodeError) as error:
        why = error.args[0] if error.args else ""
        told = why.decode("utf-8", "replace") if isinstance(why, bytes) else str(error)
        raise InvalidPattern(f"{text[:60]!r} is not a pattern that RE2 takes: {told}") from None
