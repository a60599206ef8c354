"""Let accounts have grants and passwords, and keep an audit."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

MOMENT = sa.DateTime(timezone=True)
FLEET = "@fleet"


def upgrade() -> None:
    """Forward only. Where there is one org, its admins ruled the fleet, and go on doing so."""
    op.add_column("orgs", sa.Column("disabled_at", MOMENT, nullable=True))
    for column in (
        sa.Column("deleted_at", MOMENT, nullable=True),
        sa.Column("password", sa.String(), nullable=True),
        sa.Column("key_changed_at", MOMENT, nullable=True),
    ):
        op.add_column("accounts", column)
    op.create_table(
        "grants",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("effect", sa.String(), nullable=False),
        sa.Column("verbs", sa.JSON(), nullable=False),
        sa.Column("actions", sa.JSON(), nullable=False),
        sa.Column("target", sa.JSON(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["account"], ["accounts.name"], name="fk_grants_account_accounts"),
        sa.PrimaryKeyConstraint("id", name="pk_grants"),
    )
    op.create_index("ix_grants_account", "grants", ["account"])
    create_audit()
    op.create_table(
        "epochs",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_epochs"),
    )
    op.create_table(
        "settings",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_settings"),
    )
    fill()


def create_audit() -> None:
    """What was done and what was refused, each row chained to the one before."""
    op.create_table(
        "audit",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("org", sa.String(), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("before", sa.JSON(), nullable=True),
        sa.Column("after", sa.JSON(), nullable=True),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("previous", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_audit"),
    )
    op.create_index("ix_audit_org_seq", "audit", ["org", "seq"])


def fill() -> None:
    """The counter, the fleet's own org, and who rules the fleet."""
    op.execute("INSERT INTO epochs (name, number) VALUES ('rights', 0)")
    op.execute(
        "UPDATE accounts SET role = 'fleet-admin'"
        " WHERE role = 'admin' AND (SELECT count(*) FROM orgs) = 1"
    )
    op.execute(
        f"INSERT INTO orgs (name, created_at) VALUES ('{FLEET}', CURRENT_TIMESTAMP)"  # noqa: S608  a constant
    )
