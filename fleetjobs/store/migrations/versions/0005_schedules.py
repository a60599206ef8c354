"""Let schedules make jobs."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

MOMENT = sa.DateTime(timezone=True)
SCHEDULED = sa.text("schedule IS NOT NULL")
ALIVE = sa.text("ended_at IS NULL")
AWAITED = sa.text("next_at IS NOT NULL")


def upgrade() -> None:
    """Forward only."""
    for column in (
        sa.Column("schedule", sa.String(), nullable=True),
        sa.Column("occurrence", sa.Integer(), nullable=True),
        sa.Column("missed_count", sa.Integer(), server_default="0", nullable=False),
    ):
        op.add_column("jobs", column)
    _index("ix_jobs_schedule_created_at", "jobs", ["schedule", "created_at"], SCHEDULED)
    create_schedules()
    op.create_table(
        "occurrences",
        sa.Column("schedule", sa.String(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("org", sa.String(), nullable=False),
        sa.Column("fate", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("job", sa.String(), nullable=True),
        sa.Column("noted_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["schedule"], ["schedules.id"], name="fk_occurrences_schedule_schedules"
        ),
        sa.PrimaryKeyConstraint("schedule", "at", name="pk_occurrences"),
    )


def create_schedules() -> None:
    """Rules, and how far they have been followed."""
    op.create_table(
        "schedules",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("org", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("shown", sa.JSON(), nullable=False),
        sa.Column("anchor", MOMENT, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.Column("next_at", MOMENT, nullable=True),
        sa.Column("made", sa.Integer(), nullable=False),
        sa.Column("skips", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["org"], ["orgs.name"], name="fk_schedules_org_orgs"),
        sa.PrimaryKeyConstraint("id", name="pk_schedules"),
    )
    _index("uq_schedules_label", "schedules", ["org", "label"], ALIVE, unique=True)
    _index("ix_schedules_next_at_id", "schedules", ["next_at", "id"], AWAITED)


def _index(
    name: str, table: str, columns: list[str], condition: sa.TextClause, *, unique: bool = False
) -> None:
    op.create_index(
        name, table, columns, unique=unique, sqlite_where=condition, postgresql_where=condition
    )
