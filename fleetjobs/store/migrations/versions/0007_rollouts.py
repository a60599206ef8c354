"""Let jobs go over their nodes batch after batch."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

RESTING = sa.text("rollout_at IS NOT NULL")


def upgrade() -> None:
    """Forward only."""
    op.add_column("jobs", sa.Column("rollout", sa.JSON(), nullable=True))
    op.add_column("jobs", sa.Column("rollout_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_jobs_rollout_at",
        "jobs",
        ["rollout_at"],
        sqlite_where=RESTING,
        postgresql_where=RESTING,
    )
    op.add_column("runs", sa.Column("turn", sa.Integer(), server_default="1", nullable=False))
