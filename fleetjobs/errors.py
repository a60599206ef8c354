"""What can go wrong, in one tree: each class carries the `code` that wire, HTTP and CLI share."""

from errno import EMFILE, ENFILE, ENOMEM
from typing import ClassVar


class Fault(Exception):
    """Anything fleetjobs itself reports as wrong; its text says what was found."""

    code: ClassVar[str] = "fault"


class Refused(Fault):
    """What was asked cannot be done as asked; asking again unchanged will not help."""

    code = "refused"


class InvalidDocument(Refused):
    """A document is not of its shape: not JSON, a missing, unknown or ill-typed field."""

    code = "invalid_document"


class InvalidTime(Refused):
    """A time cannot be read, has no zone, or lies where it makes no sense."""

    code = "invalid_time"


class InvalidSchedule(Refused):
    """A rule that cannot be read, never comes true, or contradicts itself."""

    code = "invalid_schedule"


class UnknownAgent(Refused):
    """No node, or not this one, has an agent of that name. SimpleRPC status 2."""

    code = "unknown_agent"


class UnknownAction(Refused):
    """The agent has no action of that name. SimpleRPC status 2."""

    code = "unknown_action"


class MissingInput(Refused):
    """An input that the interface requires is absent. SimpleRPC status 3."""

    code = "missing_input"
    field: str | None = None  # its place in what was asked for, such as data.name


class InvalidInput(Refused):
    """An input is undeclared, ill-typed, too long or fails its validation. SimpleRPC status 4."""

    code = "invalid_input"
    field: str | None = None  # likewise


class InvalidInterface(Refused):
    """An agent's interface document breaks the schema or contradicts itself."""

    code = "invalid_interface"


class InvalidPattern(Refused):
    """A regular expression that RE2 does not take."""

    code = "invalid_pattern"


class InvalidTarget(Refused):
    """A target expression that cannot be read."""

    code = "invalid_target"


class NotDiscovered(Refused):
    """A program that was to name the nodes did not; says why."""

    code = "not_discovered"


class InvalidPlan(Refused):
    """A plan whose legs do not fit together; names the leg, or the line, and what is wrong."""

    code = "invalid_plan"


class InvalidRollout(InvalidPlan):
    """A rollout that cannot be meant, such as batches without a node."""

    code = "invalid_rollout"


class InvalidReference(Refused):
    """A reference `${…}` that cannot be read, or that leads to nothing."""

    code = "invalid_reference"


class InvalidNotification(Refused):
    """A sink or a topic that cannot be meant."""

    code = "invalid_notification"


class Undelivered(Fault):
    """A notice that its sink did not take; it is sent again."""

    code = "undelivered"


class NoNodes(Refused):
    """The target picks no node."""

    code = "no_nodes"


class InvalidPolicy(Refused):
    """A policy file that cannot be read; until it can, everything is denied."""

    code = "invalid_policy"


class Denied(Refused):
    """The caller may not do this, by the server's grants or the node's policy."""

    code = "denied"


class Unauthenticated(Refused):
    """No token, or one that is unknown, expired or revoked."""

    code = "unauthenticated"


class Unauthentic(Refused):
    """A document whose signature is missing, broken, or by a key that is not trusted for it."""

    code = "unauthentic"


class Misaddressed(Refused):
    """A document signed for another node, or whose parts do not belong together."""

    code = "misaddressed"


class Stale(Refused):
    """A document from outside its time: expired, or issued in the future."""

    code = "stale"


class NotFound(Refused):
    """Nothing of that name that the caller may see."""

    code = "not_found"


class Conflict(Refused):
    """The id or key was used before for something else."""

    code = "conflict"


class TooOften(Refused):
    """Asked more often than is good; asking again later helps."""

    code = "too_often"


class QueueFull(Refused):
    """More is live already than may be; later the same request may be taken."""

    code = "queue_full"


class UnknownDependency(Refused):
    """A job or run to wait for that does not exist, as far as the caller may see."""

    code = "unknown_dependency"


class Outdated(Refused):
    """What was to be changed has been changed meanwhile; look again, then decide."""

    code = "outdated"


class InvalidTransition(Refused):
    """A move that the table of states does not have."""

    code = "invalid_transition"


class InvalidSetting(Refused):
    """A setting that is unknown or out of range; names the file or variable and the field."""

    code = "invalid_setting"


class DuplicateRun(Refused):
    """The spool holds, or once held, this attempt of the run."""

    code = "duplicate_run"


class BrokenRun(Fault):
    """A run directory whose files cannot be read; it is set aside, the others go on."""

    code = "broken_run"


class SpoolFull(Fault):
    """The node's disk takes no more: nothing was accepted, nothing is half written."""

    code = "spool_full"


class Unavailable(Fault):
    """Something we depend on is away; the same request may go through later."""

    code = "unavailable"


class BrokerAway(Unavailable):
    """The broker does not answer, or did not confirm in time."""

    code = "broker_away"


class DatabaseAway(Unavailable):
    """The results database does not answer."""

    code = "database_away"


class ServerAway(Unavailable):
    """The server does not answer."""

    code = "server_away"


class Problem(Fault):
    """The server refused a request; carries its problem document (RFC 9457)."""

    code = "problem"

    def __init__(self, status: int, document: dict[str, object]) -> None:
        """Keep the HTTP status and the problem document as the server sent them."""
        super().__init__(str(document.get("detail") or document.get("title") or f"HTTP {status}"))
        self.status = status
        self.document = document


def is_shortage(error: OSError) -> bool:
    """Whether it says nothing of what was looked for: for now we lack descriptors, or memory."""
    return error.errno in {EMFILE, ENFILE, ENOMEM}
