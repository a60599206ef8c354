"""Let plans be taken back."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Forward only. Plans that are under way know of no undo, and stay done."""
    for column in (
        sa.Column("undo", sa.JSON(), nullable=True),
        sa.Column("reverts", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("undoing", sa.String(), nullable=True),
        sa.Column("rollback", sa.String(), nullable=True),
        sa.Column("rollback_percent", sa.Float(), nullable=True),
        sa.Column("irreversible", sa.JSON(), nullable=True),
    ):
        op.add_column("jobs", column)
