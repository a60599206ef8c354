"""Call the action of a limit an action."""

from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """Forward only."""
    op.execute("ALTER TABLE limits RENAME COLUMN task TO action")
