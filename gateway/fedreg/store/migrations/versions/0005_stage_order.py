"""Versions by the time of their stage: the inventory sorted by it. Most versions have none, and are left out."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "versions_by_stage_since",
        "versions",
        ["stage_since", "registry", "model", "version_sort"],
        unique=False,
        sqlite_where=sa.text("stage_since IS NOT NULL"),
        postgresql_where=sa.text("stage_since IS NOT NULL"),
    )
