"""Links made by API, claims of models by promotions, approvals, and the role of an effect."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    words = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.add_column("effects", sa.Column("role", words, nullable=False, server_default="set"))
    op.create_table(
        "claims",
        sa.Column("registry", sa.Text(), primary_key=True),
        sa.Column("model", sa.Text(), primary_key=True),
        sa.Column("intent_id", sa.Text(), sa.ForeignKey("intents.id"), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("claims_by_intent", "claims", ["intent_id"], unique=False)
    op.create_table(
        "approvals",
        sa.Column("intent_id", sa.Text(), sa.ForeignKey("intents.id"), primary_key=True),
        sa.Column("actor", sa.Text(), primary_key=True),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.Column("comment", sa.Text()),
        sa.Column("decided_at", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "links",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("link", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_by", sa.Text(), nullable=False),
    )
