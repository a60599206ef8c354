"""Let plans outlive their legs."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Forward only."""
    op.add_column("jobs", sa.Column("leg_summary", sa.JSON(), nullable=True))
