"""Tell people and programs of what happens."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Forward only."""
    op.add_column(
        "schedules", sa.Column("tells", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    op.create_table(
        "wishes",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("org", sa.String(), nullable=False),
        sa.Column("job", sa.String(), nullable=False),
        sa.Column("topics", sa.JSON(), nullable=False),
        sa.Column("sinks", sa.JSON(), nullable=False),
        sa.Column("duration_s", sa.Float(), nullable=True),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_wishes"),
    )
    op.create_index("ix_wishes_job_org", "wishes", ["job", "org"])
    op.create_table(
        "notices",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("org", sa.String(), nullable=True),
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("sink", sa.String(), nullable=False),
        sa.Column("job", sa.String(), nullable=True),
        sa.Column("schedule", sa.String(), nullable=True),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_notices"),
    )
    due = sa.text("due_at IS NOT NULL")
    op.create_index(
        "ix_notices_due_at", "notices", ["due_at"], sqlite_where=due, postgresql_where=due
    )
    op.create_index("ix_notices_org_created_at_id", "notices", ["org", "created_at", "id"])
    op.create_index("ix_notices_job", "notices", ["job"])
    op.create_table(
        "outcomes",
        sa.Column("schedule", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("flips", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("schedule", name="pk_outcomes"),
    )
    live = sa.text("schedule IS NOT NULL AND ended_at IS NULL")
    op.create_index(
        "ix_jobs_schedule_live", "jobs", ["schedule"], sqlite_where=live, postgresql_where=live
    )
