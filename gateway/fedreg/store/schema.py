"""Tables of the store: the truth (journal, intents, effects, …) and the index, which can always be rebuilt.

Migrations create them, with the triggers and the full-text table that metadata can't express; a test compares
the two. Indexes of the inventory begin with the registry, for a page is read registry by registry; but for those of
another order.

Longer than 350 lines because every table is here: the migrations are compared with this one page.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    column,
    table,
    text,
)

from fedreg.store.columns import Instant, Json

metadata = MetaData()

meta = Table("meta", metadata, Column("name", Text, primary_key=True), Column("value", Text, nullable=False))

journal = Table(
    "journal",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("recorded_at", Instant, nullable=False),
    Column("action", Text, nullable=False),
    Column("registry", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("version", Text),
    Column("identity", Text),
    Column("actor", Text, nullable=False),
    Column("authenticated", Boolean(create_constraint=False), nullable=False),
    Column("before", Json),
    Column("after", Json),
    Column("reason", Text),
    Column("origin", Text, nullable=False),
    Column("not_before", Instant),
    Column("intent_id", Text),
    Column("previous_hash", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Index("journal_by_version", "registry", "model", "version", "sequence"),
    Index("journal_by_identity", "identity", "sequence"),
    Index("journal_by_actor", "actor", "sequence"),
    Index("journal_by_time", "recorded_at", "sequence"),
)

# Signed heads of the journal's chain.
duties = Table(
    "duties",
    metadata,
    Column("name", Text, primary_key=True),
    Column("replica_id", Text, nullable=False),
)

anchors = Table(
    "anchors",
    metadata,
    Column("address", Text, primary_key=True),  # a hash: the address may have a token in it
    Column("sequence", BigInteger, nullable=False),
    Column("key_id", Text, nullable=False),
)

heads = Table(
    "heads",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("key_id", Text, primary_key=True),
    Column("hash", Text, nullable=False),
    Column("recorded_at", Instant, nullable=False),
    Column("store", Text, nullable=False),
    Column("signature", Text, nullable=False),
)

intents = Table(
    "intents",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("authenticated", Boolean(create_constraint=False), nullable=False),
    Column("plan", Json, nullable=False),
    Column("reason", Text),
    Column("result", Json),
    Column("error", Json),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Index("intents_by_state", "state", "created_at", "id"),
    Index("intents_by_time", "created_at", "id"),
)

# What an Idempotency-Key has started: `fingerprint` covers the whole request.
requests = Table(
    "requests",
    metadata,
    Column("actor", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("intent_id", Text, ForeignKey("intents.id"), nullable=False),
    Column("created_at", Instant, nullable=False),
    Index("requests_by_time", "created_at"),
    sqlite_with_rowid=False,
)

effects = Table(
    "effects",
    metadata,
    Column("intent_id", Text, ForeignKey("intents.id"), primary_key=True),
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("key", Text, nullable=False),
    Column("registry", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("version", Text),
    Column("identity", Text),
    Column("field", Text, nullable=False),
    Column("before", Json),
    Column("after", Json),
    Column("state", Text, nullable=False),
    Column("role", Text, nullable=False, server_default="set"),
    Column("updated_at", Instant),
    UniqueConstraint("intent_id", "key", name="effects_once"),
)

# Which intent may change the stages and aliases of a model: its own until it ends, over restarts.
claims = Table(
    "claims",
    metadata,
    Column("registry", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("intent_id", Text, ForeignKey("intents.id"), nullable=False),
    Index("claims_by_intent", "intent_id"),
    sqlite_with_rowid=False,
)

approvals = Table(
    "approvals",
    metadata,
    Column("intent_id", Text, ForeignKey("intents.id"), primary_key=True),
    Column("actor", Text, primary_key=True),
    Column("decision", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("roles", Json, nullable=False),
    Column("comment", Text),
    Column("decided_at", Instant, nullable=False),
    sqlite_with_rowid=False,
)

# Links made by API; those of the configuration are not here.
links = Table(
    "links",
    metadata,
    Column("name", Text, primary_key=True),
    Column("link", Json, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("updated_by", Text, nullable=False),
)

# A row a version of a migration; a lane is a target model, whose rows are worked off in their order.
migration_rows = Table(
    "migration_rows",
    metadata,
    Column("migration_id", Text, primary_key=True),
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("lane", Integer, nullable=False),
    Column("source", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("planned", Json, nullable=False),
    Column("outcome", Json),
    Column("attempt", Text),
    Index("migration_rows_by_lane", "migration_id", "lane", "sequence"),
    Index("migration_rows_by_source", "migration_id", "source"),
    sqlite_with_rowid=False,
)

overflow = Table(
    "overflow",
    metadata,
    Column("registry", Text, primary_key=True),
    Column("identity", Text, primary_key=True),
    Column("field", Text, primary_key=True),
    Column("value", Json),
    Column("updated_at", Instant, nullable=False),
    sqlite_with_rowid=False,
)

counterparts = Table(
    "counterparts",
    metadata,
    Column("source_registry", Text, primary_key=True),
    Column("source_identity", Text, primary_key=True),
    Column("target_registry", Text, primary_key=True),
    Column("target_identity", Text, primary_key=True),
    Column("source_model", Text, nullable=False),
    Column("source_version", Text, nullable=False),
    Column("target_model", Text, nullable=False),
    Column("target_version", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Index("counterparts_by_target", "target_registry", "target_identity"),
    sqlite_with_rowid=False,
)

digests = Table(
    "digests",
    metadata,
    Column("registry", Text, primary_key=True),
    Column("identity", Text, primary_key=True),
    Column("value", Text, nullable=False),
    Column("basis", Text, nullable=False),
    Column("manifest", Json),
    Column("updated_at", Instant, nullable=False),
)

nodes = Table(
    "nodes",
    metadata,
    Column("key", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("attributes", Json, nullable=False),
    sqlite_with_rowid=False,
)

edges = Table(
    "edges",
    metadata,
    Column("src", Text, primary_key=True),
    Column("dst", Text, primary_key=True),
    Column("relation", Text, primary_key=True),
    Column("created_at", Instant, nullable=False),
    Index("edges_by_target", "dst", "src"),
    sqlite_with_rowid=False,
)

# Gateways that share a store; `seen_at` 0: given up.
replicas = Table(
    "replicas",
    metadata,
    Column("id", Text, primary_key=True),
    Column("address", Text),
    Column("started_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
)

scans = Table(
    "scans",
    metadata,
    Column("registry", Text, primary_key=True),
    Column("cursor", Text),
    Column("sweep_started_at", Instant),
    Column("completed_at", Instant),
    Column("error", Json),
    Column("covered_since", Instant),  # when the first scan was complete: the journal tells what changed from then on
    Column("swept_at", Instant),  # when the last complete scan began: what it did not show was not there then
)

models = Table(
    "models",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("registry", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("content_hash", LargeBinary),
    Column("document", LargeBinary),  # NULL: a version was seen before its model
    Column("observed_at", Instant, nullable=False),
    Column("versions", BigInteger, nullable=False, server_default="0"),
    Column("leading_id", Integer),
    Column("stages", Json),
    UniqueConstraint("registry", "name", name="models_by_name"),
)

versions = Table(
    "versions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("registry", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("version_sort", Text, nullable=False),
    Column("identity", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("stage_rank", Integer, nullable=False),
    Column("stage_since", Instant),
    Column("stage_since_basis", Text),
    Column("set_by", Text),
    Column("approval", Text, nullable=False),
    Column("approved_by", Text),
    Column("approved_at", Instant),
    Column("aliases", Json),
    Column("digest", Text),
    Column("digest_basis", Text),
    Column("content_hash", LargeBinary, nullable=False),
    Column("observed_at", Instant, nullable=False),
    UniqueConstraint("registry", "model", "version", name="versions_by_name"),
    Index("versions_in_order", "registry", "model", "version_sort"),
    Index("versions_by_identity", "registry", "identity"),
    Index(
        "versions_by_stage_since",
        "stage_since",
        "registry",
        "model",
        "version_sort",
        sqlite_where=text("stage_since IS NOT NULL"),
        postgresql_where=text("stage_since IS NOT NULL"),
    ),
)

version_documents = Table(
    "version_documents",
    metadata,
    Column("version_id", Integer, ForeignKey("versions.id", ondelete="CASCADE"), primary_key=True),
    Column("document", LargeBinary, nullable=False),
)

# What a version (or, with version_sort '', a model) can be found by. Read in its key's order.
labels = Table(
    "labels",
    metadata,
    Column("registry", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("version_sort", Text, primary_key=True),
    Column("version_id", Integer, nullable=False),  # a model's own: minus its id
    Index("labels_by_version", "version_id"),
    sqlite_with_rowid=False,
)

# What registries pushed: `looked_at` NULL, nobody has looked at the model since.
events = Table(
    "events",
    metadata,
    Column("registry", Text, primary_key=True),
    Column("event_id", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("looked_at", Instant),
    Index("events_by_model", "registry", "model"),
    Index("events_by_time", "received_at"),
    sqlite_with_rowid=False,
)

# `position`: the last entry of the journal that was looked at for this webhook.
webhooks = Table(
    "webhooks",
    metadata,
    Column("id", Text, primary_key=True),
    Column("url", Text, nullable=False),
    Column("actions", Json, nullable=False),
    Column("registries", Json, nullable=False),
    Column("model", Text),
    Column("secret", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    sqlite_with_rowid=False,
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("webhook_id", Text, ForeignKey("webhooks.id"), primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("status", Integer),
    Column("error", Text),
    Column("first_at", Instant),
    Column("next_at", Instant),
    Column("updated_at", Instant, nullable=False),
    Index("deliveries_by_state", "webhook_id", "state", "sequence"),
    sqlite_with_rowid=False,
)

facets = Table(
    "facets",
    metadata,
    Column("registry", Text, primary_key=True),
    Column("stage", Text, primary_key=True),
    Column("approval", Text, primary_key=True),
    Column("versions", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# What models are searched by, in rows of models.id; a virtual table (FTS5, trigram) in SQLite. Migrations create it.
model_text = table("model_text", column("rowid", Integer), column("text", Text))
