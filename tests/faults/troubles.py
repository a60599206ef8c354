"""Troubles: what network and servers do to a fleet, as steps of a history."""

from contextlib import suppress
from random import Random
from typing import Protocol

from fleetjobs.broker.connections import REPLIES, node_queue_name
from fleetjobs.errors import Fault
from tests.faults.fleet import Fleet
from tests.faults.mixing import mix as mix_queue
from tests.faults.wiping import lose_disk
from tests.faults.wires import Way


class Troubled(Protocol):
    """Whoever has a fleet, and dice."""

    fleet: Fleet
    dice: Random


def hold_wire(history: Troubled) -> str:
    """Let nothing pass between a program and its server, one way or both."""
    ways = history.dice.choice([tuple(Way), (Way.TO,), (Way.FROM,)])
    name = history.dice.choice([*history.fleet.nodes, "coordinator"])
    history.fleet.wire(name).hold(*ways)
    return f"{name} {[str(way) for way in ways]}"


def hold_database(history: Troubled) -> str:
    """As `hold_wire`, between the coordinator and the database."""
    if history.fleet.database is None:
        return ""
    history.fleet.wire("coordinator", "database").hold()
    return "coordinator"


def cut_wire(history: Troubled) -> str:
    """End the connections of a program, and refuse new ones."""
    name = history.dice.choice([*history.fleet.nodes, "coordinator"])
    history.fleet.wire(name).cut()
    return name


def slow_wires(history: Troubled) -> str:
    """Everything takes its time on the way, or breaks now and then."""
    delay_s, loss = history.dice.choice([(0.5, 0.0), (0.0, 0.01), (0.1, 0.02)])
    for name in (*history.fleet.nodes, "coordinator"):
        history.fleet.wire(name).slow(delay_s, loss)
    return f"by {delay_s} s, {loss:.0%} lost"


def heal_wires(history: Troubled) -> str:
    """All of them."""
    if history.fleet.wires is not None:
        history.fleet.wires.heal()
    return "all"


def mix(history: Troubled) -> str:
    """Double what waits in some queue, in any order."""
    queue = history.dice.choice([REPLIES, *map(node_queue_name, history.fleet.nodes)])
    with suppress(Fault, OSError):
        count = mix_queue(history.fleet.broker_url, queue, history.dice)
        return f"{count} in {queue}" if count else ""
    return ""


def bounce_broker(history: Troubled) -> str:
    """Kill the broker, and start it."""
    history.fleet.broker.kill()
    history.fleet.broker.start()
    return "at once"


def empty_broker(history: Troubled) -> str:
    """Kill the broker, and start it on an empty disk."""
    lose_disk(history.fleet.broker)
    return "at once"


def bounce_database(history: Troubled) -> str:
    """Kill the database, and start it; SQLite cannot be killed."""
    database = history.fleet.database
    if database is None:
        return ""
    database.kill()
    database.start()
    return "at once"
