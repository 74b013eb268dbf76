"""The index of models and versions, with full text and counts."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "facets",
        sa.Column("registry", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("approval", sa.Text(), nullable=False),
        sa.Column("versions", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("registry", "stage", "approval"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "labels",
        sa.Column("registry", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("version_sort", sa.Text(), nullable=False),
        sa.Column("version_id", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("registry", "kind", "key", "value", "model", "version_sort"),
        sqlite_with_rowid=False,
    )
    op.create_index("labels_by_version", "labels", ["version_id"], unique=False)
    op.create_table(
        "models",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("registry", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.LargeBinary(), nullable=True),
        sa.Column("document", sa.LargeBinary(), nullable=True),
        sa.Column("observed_at", sa.BigInteger(), nullable=False),
        sa.Column("versions", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("leading_id", sa.Integer(), nullable=True),
        sa.Column("stages", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("registry", "name", name="models_by_name"),
    )
    op.create_table(
        "versions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("registry", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("version_sort", sa.Text(), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("stage_rank", sa.Integer(), nullable=False),
        sa.Column("stage_since", sa.BigInteger(), nullable=True),
        sa.Column("stage_since_basis", sa.Text(), nullable=True),
        sa.Column("set_by", sa.Text(), nullable=True),
        sa.Column("approval", sa.Text(), nullable=False),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("approved_at", sa.BigInteger(), nullable=True),
        sa.Column("aliases", sa.Text(), nullable=True),
        sa.Column("digest", sa.Text(), nullable=True),
        sa.Column("digest_basis", sa.Text(), nullable=True),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("observed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("registry", "model", "version", name="versions_by_name"),
    )
    op.create_index("versions_by_identity", "versions", ["registry", "identity"], unique=False)
    op.create_index("versions_in_order", "versions", ["registry", "model", "version_sort"], unique=False)
    op.create_table(
        "version_documents",
        sa.Column("version_id", sa.Integer(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["version_id"], ["versions.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("version_id"),
    )
    if op.get_bind().dialect.name == "postgresql":
        _create_text()
        _count_facets()
    else:
        op.execute("CREATE VIRTUAL TABLE model_text USING fts5(text, tokenize = 'trigram')")
        _count_facets_sqlite()


def _create_text() -> None:
    op.create_table(
        "model_text",
        sa.Column("rowid", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("rowid"),
    )


_GAIN = (
    "INSERT INTO facets (registry, stage, approval, versions) VALUES (new.registry, new.stage, new.approval, 1) "
    "ON CONFLICT (registry, stage, approval) DO UPDATE SET versions = facets.versions + 1;"
)
_LOSE = (
    "UPDATE facets SET versions = versions - 1 "
    "WHERE registry = old.registry AND stage = old.stage AND approval = old.approval;"
)
_CHANGED = "WHEN (new.registry <> old.registry OR new.stage <> old.stage OR new.approval <> old.approval)"


def _count_facets() -> None:
    for name, when, work in (
        ("gain", "AFTER INSERT ON versions FOR EACH ROW", _GAIN),
        ("lose", "AFTER DELETE ON versions FOR EACH ROW", _LOSE),
        ("move", f"AFTER UPDATE OF registry, stage, approval ON versions FOR EACH ROW {_CHANGED}", f"{_LOSE} {_GAIN}"),
    ):
        op.execute(
            f"CREATE FUNCTION facets_{name}() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {work} RETURN NULL; END$$"
        )
        op.execute(f"CREATE TRIGGER facets_{name} {when} EXECUTE FUNCTION facets_{name}()")


def _count_facets_sqlite() -> None:
    op.execute(f"CREATE TRIGGER facets_gain AFTER INSERT ON versions BEGIN {_GAIN} END")
    op.execute(f"CREATE TRIGGER facets_lose AFTER DELETE ON versions BEGIN {_LOSE} END")
    op.execute(
        "CREATE TRIGGER facets_move AFTER UPDATE OF registry, stage, approval ON versions "
        f"{_CHANGED} BEGIN {_LOSE} {_GAIN} END"
    )
