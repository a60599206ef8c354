"""Let the nodes of a job begin spread over some time."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Forward only."""
    op.add_column("jobs", sa.Column("splay_s", sa.Float(), server_default="0", nullable=False))
