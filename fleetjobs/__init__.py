"""fleetjobs: run and schedule actions on whole fleets of machines."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:  # the one door people type-check against; nobody else should pay for loading it
    from fleetjobs.client.fleet import Fleet as Fleet
    from fleetjobs.client.rpc import rpcclient as rpcclient


def __getattr__(name: str) -> Any:
    """Load the client when it is asked for: nodes and servers never do."""
    if name not in ("Fleet", "rpcclient"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fleetjobs import client

    return getattr(client, name)
