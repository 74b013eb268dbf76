"""The journal as evidence: signed heads, the store's id in them, and since when each registry is covered."""

import secrets
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "heads",
        sa.Column("sequence", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", "key_id"),
    )
    meta = sa.table("meta", sa.column("name", sa.Text), sa.column("value", sa.Text))
    op.execute(sa.insert(meta).values(name="store_id", value=secrets.token_hex(16)))
    op.add_column("scans", sa.Column("covered_since", sa.BigInteger(), nullable=True))
    op.add_column("scans", sa.Column("swept_at", sa.BigInteger(), nullable=True))
    # Before, the journal was not told of all that came along with a change: what is scanned is covered from now on.
    scans = sa.table("scans", sa.column("covered_since", sa.BigInteger), sa.column("completed_at", sa.BigInteger))
    now = int(datetime.now(UTC).timestamp() * 1_000_000)
    op.execute(sa.update(scans).values(covered_since=now).where(scans.c.completed_at.is_not(None)))
