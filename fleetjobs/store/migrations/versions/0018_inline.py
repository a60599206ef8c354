"""Say of a job whether nodes act on it inline."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Forward only."""
    op.add_column(
        "jobs", sa.Column("inline", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
