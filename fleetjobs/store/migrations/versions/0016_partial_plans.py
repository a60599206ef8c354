"""Let plans know that a leg succeeded in part."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Forward only. Plans that have ended keep what was said of them."""
    column: sa.Column[bool] = sa.Column(
        "partly", sa.Boolean(), server_default=sa.false(), nullable=False
    )
    op.add_column("jobs", column)
