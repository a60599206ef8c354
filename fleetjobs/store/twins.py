"""Twins: two machines under one identity, as a copied disk makes them.

A worker that beats although another one of its identity has started since is not the one before.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Boolean, Connection, bindparam, case, literal, or_, select, update

from fleetjobs.messages import Beat
from fleetjobs.nodes import TWIN_SHOWN
from fleetjobs.store.columns import Moment
from fleetjobs.store.entries import COORDINATOR
from fleetjobs.store.events import add_events, event_row
from fleetjobs.store.schema.nodes import nodes

GRACE = timedelta(seconds=20)  #: the last beats of a worker may come after the first of the next


def twin_column(now: datetime) -> Any:
    """What `nodes.twin_at` becomes by a beat, with the parameters of `twin_values`."""
    began = bindparam("_began", type_=Moment())
    until = bindparam("_until", type_=Moment())
    earlier = (nodes.c.started_at > began) & (nodes.c.started_at < until)
    is_twin = or_(bindparam("_doubled", type_=Boolean()), earlier)
    return case((is_twin, literal(now, Moment())), else_=nodes.c.twin_at)


def twin_values(beats: Sequence[Beat]) -> Mapping[str, Any]:
    """Of the beats of one node that came at a time, the latest last."""
    latest, newest = beats[-1], max(beat.started_at for beat in beats)
    doubled = any(beat.started_at < newest < beat.at - GRACE for beat in beats)
    return {"_began": latest.started_at, "_until": latest.at - GRACE, "_doubled": doubled}


def tell_twins(connection: Connection, now: datetime) -> None:
    """Log which nodes have a twin now, and which have no more."""
    columns = (nodes.c.identity, nodes.c.org, nodes.c.twin_at, nodes.c.twin_told_at)
    query = select(*columns).where(nodes.c.twin_at.is_not(None)).order_by(nodes.c.identity)
    told: list[dict[str, Any]] = []
    for row in connection.execute(query).all():
        gone = row.twin_at < now - TWIN_SHOWN
        if row.twin_told_at is not None and not gone:
            continue
        news: dict[str, Any] = {"twin_at": None} if gone else {}
        values = {"twin_told_at": None if gone else now, **news}
        connection.execute(update(nodes).where(nodes.c.identity == row.identity).values(values))
        kind = "node.twin_gone" if gone else "node.twin"
        told.append(event_row(at=now, org=row.org, node=row.identity, kind=kind, actor=COORDINATOR))
    add_events(connection, told)
