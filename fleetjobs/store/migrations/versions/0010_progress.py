"""Let runs show how far they have come."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Forward only."""
    op.add_column("runs", sa.Column("percent", sa.Float(), nullable=True))
    op.add_column("runs", sa.Column("doing", sa.String(), server_default="", nullable=False))
