"""Say of a node how many deliveries it takes in one message."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Forward only."""
    op.add_column("nodes", sa.Column("takes", sa.Integer(), server_default="1", nullable=False))
