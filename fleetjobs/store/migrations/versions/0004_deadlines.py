"""Let runs end whose nodes never come back; know more of nodes."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

MOMENT = sa.DateTime(timezone=True)
IS_LIVE = sa.text("state NOT IN ('succeeded', 'failed', 'cancelled', 'skipped', 'expired')")
TWIN = sa.text("twin_at IS NOT NULL")
JOBS = sa.table("jobs", sa.column("give_up_s", sa.Float()), sa.column("start_before", MOMENT))
RUNS = sa.table(
    "runs",
    sa.column("state", sa.String()),
    sa.column("reason", sa.String()),
    sa.column("stage", sa.String()),
    sa.column("expire_at", MOMENT),
)


def upgrade() -> None:
    """Forward only. What is with a node already is looked at soon, and then by what is heard."""
    op.add_column("jobs", sa.Column("give_up_s", sa.Float(), server_default="86400", nullable=True))
    op.execute(JOBS.update().where(JOBS.c.start_before.is_(None)).values(give_up_s=None))
    accepted = (RUNS.c.state == "queued") & (RUNS.c.stage == "accepted")
    lost = (RUNS.c.state == "paused") & (RUNS.c.reason == "lost")
    away = accepted | lost | (RUNS.c.state == "cancelling")
    now = datetime.now(UTC)
    op.execute(RUNS.update().where(away, RUNS.c.expire_at.is_(None)).values(expire_at=now))
    op.add_column("nodes", sa.Column("slots", sa.Integer(), server_default="0", nullable=False))
    op.add_column("nodes", sa.Column("twin_at", MOMENT, nullable=True))
    op.add_column("nodes", sa.Column("twin_told_at", MOMENT, nullable=True))
    op.create_index(
        "ix_nodes_twin_at", "nodes", ["twin_at"], sqlite_where=TWIN, postgresql_where=TWIN
    )
    op.create_index(
        "ix_runs_live", "runs", ["node"], sqlite_where=IS_LIVE, postgresql_where=IS_LIVE
    )
