"""Let jobs be changed, repeated, and made to wait for one another."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

MOMENT = sa.DateTime(timezone=True)
ORDERED = sa.text("order_at IS NOT NULL")
AT_WORK = sa.text("state IN ('running', 'cancelling')")
ASKS_ATTENTION = sa.text("attention")
UNSENT = sa.text("sent_at IS NULL")


def upgrade() -> None:
    """Forward only."""
    widen_jobs()
    widen_runs()
    make_attempts()
    make_dependencies()
    make_questions()
    make_leases()


def widen_jobs() -> None:
    """How often to try, and what changed."""
    for column in (
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("rerun_of", sa.String(), nullable=True),
        sa.Column("max_attempts", sa.Integer(), server_default="1", nullable=False),
        sa.Column("retry_delay_s", sa.Float(), server_default="30", nullable=False),
        sa.Column("lost_after_s", sa.Float(), server_default="60", nullable=False),
        sa.Column("retry_lost", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("needing", sa.Integer(), server_default="0", nullable=False),
        sa.Column("edit", sa.JSON(), nullable=True),
    ):
        op.add_column("jobs", column)


def widen_runs() -> None:
    """What the node was told and has not confirmed."""
    for column in (
        sa.Column("generation", sa.Integer(), server_default="0", nullable=False),
        sa.Column("pending", sa.String(), nullable=True),
        sa.Column("pending_at", MOMENT, nullable=True),
        sa.Column("tries", sa.Integer(), server_default="1", nullable=False),
        sa.Column("next_attempt_at", MOMENT, nullable=True),
        sa.Column("attention", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("blocked_by", sa.String(), nullable=True),
        sa.Column("order_at", MOMENT, nullable=True),
    ):
        op.add_column("runs", column)
    for name, columns, condition in (
        ("ix_runs_order_at_job_node", ["order_at", "job", "node"], ORDERED),
        ("ix_runs_at_work", ["node"], AT_WORK),
        ("ix_runs_attention", ["org", "job", "node"], ASKS_ATTENTION),
    ):
        op.create_index(name, "runs", columns, sqlite_where=condition, postgresql_where=condition)


def make_attempts() -> None:
    """What came of the attempts before the latest."""
    op.create_table(
        "attempts",
        sa.Column("job", sa.String(), nullable=False),
        sa.Column("node", sa.String(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("org", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("statuscode", sa.Integer(), nullable=True),
        sa.Column("statusmsg", sa.String(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("stdout_size", sa.BigInteger(), nullable=False),
        sa.Column("stderr_size", sa.BigInteger(), nullable=False),
        sa.Column("started_at", MOMENT, nullable=True),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("kept_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["job"], ["jobs.id"], name=op.f("fk_attempts_job_jobs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job", "node", "attempt", name=op.f("pk_attempts")),
    )
    op.create_index("ix_attempts_kept_at", "attempts", ["kept_at"])


def make_dependencies() -> None:
    """Which job waits for which."""
    op.create_table(
        "dependencies",
        sa.Column("job", sa.String(), nullable=False),
        sa.Column("on_job", sa.String(), nullable=False),
        sa.Column("on_node", sa.String(), nullable=False),
        sa.Column("when", sa.String(), nullable=False),
        sa.Column("met", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job"], ["jobs.id"], name=op.f("fk_dependencies_job_jobs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job", "on_job", "on_node", name=op.f("pk_dependencies")),
    )
    op.create_index("ix_dependencies_on_job_met", "dependencies", ["on_job", "met"])


def make_questions() -> None:
    """What nodes are asked, and what they answer."""
    op.create_table(
        "questions",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("org", sa.String(), nullable=False),
        sa.Column("node", sa.String(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("asked_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("sent_at", MOMENT, nullable=True),
        sa.Column("answer", sa.JSON(), nullable=True),
        sa.Column("answered_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_questions")),
    )
    op.create_index("ix_questions_expires_at", "questions", ["expires_at"])
    op.create_index(
        "ix_questions_unsent",
        "questions",
        ["asked_at"],
        sqlite_where=UNSENT,
        postgresql_where=UNSENT,
    )


def make_leases() -> None:
    """Who leads, and what the coordinators were told."""
    op.create_table(
        "leases",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("until", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.create_table(
        "switches",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_switches")),
    )
