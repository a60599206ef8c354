"""Let jobs be made of jobs."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

MOMENT = sa.DateTime(timezone=True)
TOP = sa.text("parent IS NULL")
IN_PARENT = sa.text("parent IS NOT NULL")
IN_PLAN = sa.text("plan IS NOT NULL")


def upgrade() -> None:
    """Forward only."""
    widen_jobs()
    index_jobs()
    widen_dependencies()
    for column in ("not_before", "start_before"):
        op.add_column("runs", sa.Column(column, MOMENT, nullable=True))
    op.add_column("events", sa.Column("plan", sa.String(), nullable=True))
    _index("ix_events_plan_seq", "events", ["plan", "seq"], IN_PLAN)


def widen_jobs() -> None:
    """What a job is a part of, and what it knows of its parts."""
    for column in (
        sa.Column("kind", sa.String(), server_default="action", nullable=False),
        sa.Column("plan", sa.String(), nullable=True),
        sa.Column("parent", sa.String(), nullable=True),
        sa.Column("leg", sa.String(), nullable=True),
        sa.Column("position", sa.Integer(), server_default="0", nullable=False),
        sa.Column("needs", sa.JSON(), nullable=True),
        sa.Column("fills", sa.JSON(), nullable=True),
        sa.Column("on_failure", sa.String(), nullable=True),
        sa.Column("max_failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("delay_s", sa.Float(), server_default="0", nullable=False),
        sa.Column("weight", sa.Float(), server_default="1", nullable=False),
        sa.Column("weights", sa.Float(), server_default="0", nullable=False),
        sa.Column("progress", sa.Float(), server_default="0", nullable=False),
        sa.Column("percent", sa.Float(), nullable=True),
        sa.Column("blocked", sa.Integer(), server_default="0", nullable=False),
        sa.Column("forgiven", sa.Integer(), server_default="0", nullable=False),
        sa.Column("called_off", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("undoes", sa.String(), nullable=True),
    ):
        op.add_column("jobs", column)
    count_blocked_runs()


def count_blocked_runs() -> None:
    """Of jobs that wait already."""
    op.execute(
        "UPDATE jobs SET blocked = (SELECT count(*) FROM runs WHERE runs.job = jobs.id"
        " AND runs.state = 'waiting' AND runs.wait_reason = 'dependency')"
        " WHERE ended_at IS NULL"
    )


def index_jobs() -> None:
    """Lists show what is no part of anything; parts are found by what they are in."""
    for columns in (
        ["org", "created_at", "id"],
        ["org", "state", "created_at", "id"],
        ["created_at", "id"],
    ):
        name = "_".join(["ix_jobs", *columns])
        op.drop_index(name, "jobs")
        _index(name, "jobs", columns, TOP)
    _index("ix_jobs_parent_position", "jobs", ["parent", "position"], IN_PARENT)
    _index("ix_jobs_plan_position", "jobs", ["plan", "position"], IN_PLAN)


def widen_dependencies() -> None:
    """Single runs wait, too."""
    op.drop_index("ix_dependencies_on_job_met", "dependencies")
    with op.batch_alter_table("dependencies") as table:
        table.add_column(sa.Column("node", sa.String(), server_default="", nullable=False))
        table.drop_constraint("pk_dependencies", type_="primary")
        table.create_primary_key("pk_dependencies", ["job", "node", "on_job", "on_node"])
    op.create_index("ix_dependencies_on_job_on_node", "dependencies", ["on_job", "on_node"])


def _index(name: str, table: str, columns: list[str], condition: sa.TextClause) -> None:
    op.create_index(name, table, columns, sqlite_where=condition, postgresql_where=condition)
