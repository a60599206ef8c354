"""The client: call actions from Python, follow jobs, ask about nodes and agents.

from fleetjobs import rpcclient

for reply in rpcclient("rpcutil", facts=["os.name=Debian"]).ping():
    print(reply.sender, reply.statusmsg, reply.data)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the one door people type-check against; loading it costs 60 ms, see __getattr__
    from fleetjobs.client.fleet import Fleet as Fleet
    from fleetjobs.client.rpc import RpcClient as RpcClient
    from fleetjobs.client.rpc import rpcclient as rpcclient


def __getattr__(name: str) -> Any:
    """Load the door when it is used: the command line needs parts of this package, not all."""
    if name not in ("Fleet", "RpcClient", "rpcclient"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fleetjobs.client import rpc

    return getattr(rpc, name)
