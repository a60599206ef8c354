"""Losses: whose node was silent for how long is found out by the database, which counts roughly."""

from datetime import timedelta

from sqlalchemy import event, update

from fleetjobs.control.jobs import Control
from fleetjobs.store.database import Database
from fleetjobs.store.entries import RunName
from fleetjobs.store.losses import runs_lost
from fleetjobs.store.schema.jobs import jobs
from tests.desk import Desk
from tests.makers import Clock, enroll

MILLISECOND = timedelta(milliseconds=1)
PATIENCE = timedelta(seconds=60)
NODES = ("web1", "web2", "web3")


def desk_with(database: Database) -> tuple[Desk, list[RunName]]:
    """Two jobs at work on three nodes, of which web3 was heard of first; their runs in order."""
    enroll(database, *NODES)
    clock = Clock()
    desk = Desk(Control(database, clock), clock)
    found = sorted(desk.submit(*NODES) for _ in range(2))
    desk.hand_over()
    for job in found:
        for node in NODES:
            desk.start(job, node)
    desk.beat("web3")
    desk.later(MILLISECOND)
    desk.beat("web1", "web2")
    order = [(desk.run(job, node).node, job) for node in ("web3", "web1", "web2") for job in found]
    return desk, [(job, node) for node, job in order]


def lost(desk: Desk, limit: int = 100, *, listening: timedelta = 2 * PATIENCE) -> list[RunName]:
    """Whom to miss, having listened for so long."""
    now = desk.clock()
    with desk.control.database.reading() as connection:
        return runs_lost(connection, now, now - listening, limit)


def test_a_run_is_lost_to_the_moment_and_the_longest_silent_first(database: Database) -> None:
    desk, order = desk_with(database)

    desk.later(PATIENCE - 2 * MILLISECOND)
    assert lost(desk) == []
    desk.later(MILLISECOND)
    assert lost(desk) == order[:2]
    assert lost(desk, listening=PATIENCE - MILLISECOND) == []
    desk.later(MILLISECOND)
    assert lost(desk) == order


def test_no_more_is_read_than_was_asked_for(database: Database) -> None:
    """Neither those beyond the limit, nor those whose actions have more patience than silence."""
    desk, order = desk_with(database)
    with database.transaction() as connection:
        more = update(jobs).where(jobs.c.id == order[0][0])
        connection.execute(more.values(lost_after_s=86400.0))
    desk.later(PATIENCE)
    asked: list[str] = []
    event.listen(database._engine, "before_cursor_execute", lambda *args: asked.append(args[2]))

    assert lost(desk, 2) == [name for name in order if name[0] != order[0][0]][:2]

    assert "LIMIT" in asked[-1]
