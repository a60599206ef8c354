"""Let settings switch builtin schedules off."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Forward only."""
    op.add_column(
        "schedules", sa.Column("barred", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
