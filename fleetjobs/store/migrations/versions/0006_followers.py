"""Let jobs follow those whose actions asked for them."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

FOLLOWS = sa.text("origin IS NOT NULL")


def upgrade() -> None:
    """Forward only."""
    op.add_column("jobs", sa.Column("origin", sa.String(), nullable=True))
    op.create_index(
        "ix_jobs_plan_origin",
        "jobs",
        ["plan", "origin"],
        sqlite_where=FOLLOWS,
        postgresql_where=FOLLOWS,
    )
