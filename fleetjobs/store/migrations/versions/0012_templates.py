"""Keep templates, and say which of them a job was made from."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

MOMENT = sa.DateTime(timezone=True)
MADE = sa.text("template IS NOT NULL")
OF_ORG = sa.text("ended_at IS NULL AND org IS NOT NULL")
OF_FLEET = sa.text("ended_at IS NULL AND org IS NULL")


def upgrade() -> None:
    """Forward only."""
    op.add_column("jobs", sa.Column("template", sa.String(), nullable=True))
    op.add_column("jobs", sa.Column("template_version", sa.Integer(), nullable=True))
    _index("ix_jobs_template_created_at", "jobs", ["template", "created_at"], MADE)
    op.add_column(
        "schedules", sa.Column("builtin", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    op.add_column("schedules", sa.Column("seed", sa.Integer(), nullable=True))
    op.create_table(
        "templates",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("org", sa.String(), nullable=True),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=True),
        sa.Column("builtin", sa.Boolean(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("changed_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["org"], ["orgs.name"], name="fk_templates_org_orgs"),
        sa.PrimaryKeyConstraint("id", name="pk_templates"),
    )
    _index("uq_templates_label", "templates", ["org", "label"], OF_ORG, unique=True)
    _index("uq_templates_label_of_fleet", "templates", ["label"], OF_FLEET, unique=True)
    op.create_table(
        "template_versions",
        sa.Column("template", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["template"], ["templates.id"], name="fk_template_versions_template_templates"
        ),
        sa.PrimaryKeyConstraint("template", "number", name="pk_template_versions"),
    )


def _index(
    name: str, table: str, columns: list[str], condition: sa.TextClause, *, unique: bool = False
) -> None:
    op.create_index(
        name, table, columns, unique=unique, sqlite_where=condition, postgresql_where=condition
    )
