"""Begin with orgs, accounts, nodes, jobs, runs, logs and events."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

MOMENT = sa.DateTime(timezone=True)
IS_STATE = (
    "state IN ('scheduled', 'waiting', 'queued', 'running', 'cancelling', 'reverting', 'paused',"
    " 'succeeded', 'failed', 'cancelled', 'skipped', 'expired')"
)


def upgrade() -> None:
    """Forward only."""
    make_access()
    make_nodes()
    make_interfaces()
    make_jobs()
    make_runs()
    make_alarms()
    make_logs()
    make_events()


def make_access() -> None:
    """Who may ask."""
    op.create_table(
        "orgs",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_orgs")),
    )
    op.create_table(
        "accounts",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("org", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("verify_key", sa.String(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("disabled_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["org"], ["orgs.name"], name=op.f("fk_accounts_org_orgs")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_accounts")),
    )
    op.create_index("ix_accounts_org", "accounts", ["org"])
    op.create_table(
        "tokens",
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=True),
        sa.Column("revoked_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["account"], ["accounts.name"], name=op.f("fk_tokens_account_accounts")
        ),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_tokens")),
    )
    op.create_index("ix_tokens_account", "tokens", ["account"])


def make_nodes() -> None:
    """The fleet, and what it can do."""
    op.create_table(
        "nodes",
        sa.Column("identity", sa.String(), nullable=False),
        sa.Column("org", sa.String(), nullable=False),
        sa.Column("verify_key", sa.String(), nullable=False),
        sa.Column("enrolled_at", MOMENT, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=True),
        sa.Column("started_at", MOMENT, nullable=True),
        sa.Column("software", sa.String(), nullable=True),
        sa.Column("running", sa.Integer(), nullable=False),
        sa.Column("waiting", sa.Integer(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("classes", sa.JSON(), nullable=False),
        sa.Column("agents", sa.JSON(), nullable=False),
        sa.Column("refused", sa.JSON(), nullable=False),
        sa.Column("inventory", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["org"], ["orgs.name"], name=op.f("fk_nodes_org_orgs")),
        sa.PrimaryKeyConstraint("identity", name=op.f("pk_nodes")),
    )
    op.create_index("ix_nodes_org", "nodes", ["org"])


def make_interfaces() -> None:
    """What the fleet's agents offer."""
    op.create_table(
        "interfaces",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_interfaces")),
    )
    op.create_table(
        "node_agents",
        sa.Column("node", sa.String(), nullable=False),
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("org", sa.String(), nullable=False),
        sa.Column("interface", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["interface"], ["interfaces.digest"], name=op.f("fk_node_agents_interface_interfaces")
        ),
        sa.ForeignKeyConstraint(
            ["node"], ["nodes.identity"], name=op.f("fk_node_agents_node_nodes"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("node", "agent", name=op.f("pk_node_agents")),
    )
    op.create_index(
        "ix_node_agents_org_agent_interface", "node_agents", ["org", "agent", "interface"]
    )


def make_jobs() -> None:
    """What was asked."""
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("org", sa.String(), nullable=False),
        sa.Column("caller", sa.String(), nullable=False),
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("target", sa.JSON(), nullable=False),
        sa.Column("sealed", sa.String(), nullable=False),
        sa.Column("meaning", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("wait_reason", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("tally", sa.JSON(), nullable=False),
        sa.Column("completion", sa.String(), nullable=True),
        sa.Column("attention", sa.Boolean(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("not_before", MOMENT, nullable=True),
        sa.Column("start_before", MOMENT, nullable=True),
        sa.Column("started_at", MOMENT, nullable=True),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.CheckConstraint(IS_STATE, name=op.f("ck_jobs_state")),
        sa.ForeignKeyConstraint(["org"], ["orgs.name"], name=op.f("fk_jobs_org_orgs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
    )
    op.create_index("ix_jobs_created_at_id", "jobs", ["created_at", "id"])
    op.create_index("ix_jobs_org_created_at_id", "jobs", ["org", "created_at", "id"])
    op.create_index("ix_jobs_org_state_created_at_id", "jobs", ["org", "state", "created_at", "id"])


def make_runs() -> None:
    """What came of it, node by node."""
    op.create_table(
        "runs",
        sa.Column("job", sa.String(), nullable=False),
        sa.Column("node", sa.String(), nullable=False),
        sa.Column("org", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("wait_reason", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("stage", sa.String(), nullable=True),
        sa.Column("statuscode", sa.Integer(), nullable=True),
        sa.Column("statusmsg", sa.String(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("stdout_size", sa.BigInteger(), nullable=False),
        sa.Column("stderr_size", sa.BigInteger(), nullable=False),
        sa.Column("queued_at", MOMENT, nullable=True),
        sa.Column("started_at", MOMENT, nullable=True),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.Column("handed_at", MOMENT, nullable=True),
        sa.Column("dispatch_at", MOMENT, nullable=True),
        sa.Column("ask_at", MOMENT, nullable=True),
        sa.Column("expire_at", MOMENT, nullable=True),
        sa.CheckConstraint(IS_STATE, name=op.f("ck_runs_state")),
        sa.ForeignKeyConstraint(
            ["job"], ["jobs.id"], name=op.f("fk_runs_job_jobs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job", "node", name=op.f("pk_runs")),
    )


def make_alarms() -> None:
    """Which runs are due for something."""
    op.create_index(
        "ix_runs_ask_at_job_node",
        "runs",
        ["ask_at", "job", "node"],
        sqlite_where=sa.text("ask_at IS NOT NULL"),
        postgresql_where=sa.text("ask_at IS NOT NULL"),
    )
    op.create_index(
        "ix_runs_dispatch_at_job_node",
        "runs",
        ["dispatch_at", "job", "node"],
        sqlite_where=sa.text("dispatch_at IS NOT NULL"),
        postgresql_where=sa.text("dispatch_at IS NOT NULL"),
    )
    op.create_index(
        "ix_runs_expire_at_job_node",
        "runs",
        ["expire_at", "job", "node"],
        sqlite_where=sa.text("expire_at IS NOT NULL"),
        postgresql_where=sa.text("expire_at IS NOT NULL"),
    )


def make_logs() -> None:
    """What the runs wrote."""
    op.create_table(
        "logs",
        sa.Column("job", sa.String(), nullable=False),
        sa.Column("node", sa.String(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("stream", sa.String(), nullable=False),
        sa.Column("org", sa.String(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job"], ["jobs.id"], name=op.f("fk_logs_job_jobs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job", "node", "attempt", "stream", name=op.f("pk_logs")),
    )


def make_events() -> None:
    """How it went."""
    op.create_table(
        "events",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("org", sa.String(), nullable=True),
        sa.Column("job", sa.String(), nullable=True),
        sa.Column("node", sa.String(), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("old", sa.String(), nullable=True),
        sa.Column("new", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_events")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events_job_seq", "events", ["job", "seq"])
    op.create_index("ix_events_org_seq", "events", ["org", "seq"])
