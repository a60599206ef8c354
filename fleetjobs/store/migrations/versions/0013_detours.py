"""Let legs be undone before they are tried again."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Forward only. Legs that are under way are tried again as they are."""
    op.add_column("jobs", sa.Column("detour", sa.JSON(), nullable=True))
    op.add_column("runs", sa.Column("step", sa.String(), nullable=True))
    op.add_column("attempts", sa.Column("step", sa.String(), nullable=True))
