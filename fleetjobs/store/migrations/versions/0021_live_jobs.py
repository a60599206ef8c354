"""Find the jobs of an org that have not ended, without those that have."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"

HAS_NOT_ENDED = sa.text("ended_at IS NULL")


def upgrade() -> None:
    """Forward only."""
    op.create_index(
        "ix_jobs_live",
        "jobs",
        ["org"],
        sqlite_where=HAS_NOT_ENDED,
        postgresql_where=HAS_NOT_ENDED,
    )
