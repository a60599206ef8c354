"""Faults that only a request over HTTP can have."""

from fleetjobs.errors import InvalidDocument, Refused


class InvalidParameter(Refused):
    """A query parameter or header that is unknown or out of range; the field is named."""

    code = "invalid_parameter"

    def __init__(self, text: str, *, field: str) -> None:
        """Say what is wrong and where."""
        super().__init__(text)
        self.field = field


class Unconditional(Refused):
    """A change that does not say of which version."""

    code = "precondition_required"


class UnknownType(Refused):
    """A body of a media type that is not taken."""

    code = "unknown_type"


class TooLong(InvalidDocument):
    """A body of more bytes than are read."""

    code = "too_long"


class InvalidBody(InvalidDocument):
    """A body that is JSON and not of the shape asked for; names the field where it can."""

    def __init__(self, text: str, *, field: str | None) -> None:
        """Say what is wrong and where."""
        super().__init__(text)
        self.field = field
