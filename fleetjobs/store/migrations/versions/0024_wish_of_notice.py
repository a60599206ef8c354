"""Let each wish be told that its time has passed, not the first one alone."""

from uuid import UUID, uuid5

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    """Forward only. Notices of before are known by their ids, which come of their wishes."""
    op.add_column("notices", sa.Column("wish", sa.String(), nullable=True))
    timed = sa.text("duration_s IS NOT NULL")
    op.create_index(
        "ix_wishes_duration",
        "wishes",
        ["job", "org"],
        sqlite_where=timed,
        postgresql_where=timed,
    )
    told = sa.text(
        "SELECT notices.id, notices.job, notices.sink, wishes.id FROM notices JOIN wishes"
        " ON wishes.org = notices.org AND wishes.job IN ('', notices.job)"
        " WHERE notices.topic = 'duration' AND wishes.duration_s IS NOT NULL"
    )
    connection = op.get_bind()
    found = [
        {"notice": notice, "wish": wish}
        for notice, job, sink, wish in connection.execute(told)
        if notice == str(uuid5(UUID(wish), f"{job} {sink}"))
    ]
    if found:
        connection.execute(sa.text("UPDATE notices SET wish = :wish WHERE id = :notice"), found)
