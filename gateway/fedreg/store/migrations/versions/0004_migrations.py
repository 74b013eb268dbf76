"""Migrations: a row for each version of a plan, and what became of it."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "migration_rows",
        sa.Column("migration_id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("lane", sa.Integer(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("planned", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("attempt", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("migration_id", "sequence"),
        sqlite_with_rowid=False,
    )
    op.create_index("migration_rows_by_lane", "migration_rows", ["migration_id", "lane", "sequence"], unique=False)
    op.create_index("migration_rows_by_source", "migration_rows", ["migration_id", "source"], unique=False)
