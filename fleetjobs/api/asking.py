"""Asking: put questions to nodes and wait for what they answer."""

import time
from collections.abc import Collection, Sequence

from starlette.concurrency import run_in_threadpool

from fleetjobs.api.desk import Desk
from fleetjobs.messages import Answer
from fleetjobs.names import NodeId


async def answers(
    desk: Desk,
    ids: Sequence[str],
    *,
    org: str,
    within: float,
    away: Collection[NodeId] = (),
) -> dict[NodeId, Answer | None]:
    """What the nodes say to these questions, as soon as all have, or after that many seconds.

    None stands for a node that has said nothing by then; those known to be away are not waited for.
    """
    deadline = time.monotonic() + within
    with desk.watch.follow(*ids) as changed:
        while True:
            found = await run_in_threadpool(desk.control.questions.answers, ids, org=org)
            left = deadline - time.monotonic()
            missing = {node for node, answer in found.items() if answer is None}
            if missing <= set(away) or left <= 0 or desk.watch.is_ending:
                return found
            await desk.watch.wait(changed, within=left)
