"""Rights over a job that was accepted: who may end it, let it go on, read what it wrote."""

from collections.abc import Sequence

from fleetjobs.access import Verb
from fleetjobs.api.access import Acting
from fleetjobs.api.desk import Desk, find_job
from fleetjobs.control.ruling import place, way
from fleetjobs.errors import Denied
from fleetjobs.names import JobId, NodeId
from fleetjobs.store.denials import runs_by_action


def check_job(
    desk: Desk,
    caller: Acting,
    verb: Verb,
    job: JobId,
    nodes: Sequence[NodeId] | None = None,
    *,
    changes: bool = False,
) -> str:
    """Let pass who may do that to the job, on these of its nodes or on all; gives its org.

    With all that is in it, if it is a plan. Whoever only sees the job, because they see everything,
    has to say that they act in its org before it `changes`. Raises NotFound, Denied.
    """
    with desk.database.reading() as connection:
        found = find_job(connection, job, org=caller.sees)
        if changes and found.org != caller.org:
            raise Denied(f"{job} is of {place(found.org)}; to act there say {way(found.org)}")
        rights = desk.control.acceptance.rights
        if rights is None or not rights.is_narrowed(connection, caller.name):
            return found.org
        for action, where in runs_by_action(connection, job).items():
            meant = [node for node in where if nodes is None or node in nodes]
            rights.check(connection, verb, action, caller=caller.name, org=found.org, nodes=meant)
    return found.org
