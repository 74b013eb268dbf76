"""The statements that write the index, as SQL for the driver.

Why not SQLAlchemy's: building, keying and binding some twenty statements took 12 ms of every promotion, and a
refresh spent half its time on column types. The driver knows none: instants are bound as microseconds and JSON as
canonical text (see `columns`). `?2` is a JSON array of keys, however many, wherever it is read by json_each.
"""

from __future__ import annotations

# SQLite keeps the order of a CROSS JOIN: beginning at the other end it would read the whole registry once per key.
_OF_KEYS = """
FROM json_each(?2) k CROSS JOIN {table} t ON t.registry = ?1
  AND t.model = json_extract(k.value, '$[0]') AND t.version = json_extract(k.value, '$[1]')"""

HASHES = f"SELECT t.model, t.version, t.id, t.content_hash {_OF_KEYS.format(table='versions')}"
ONE_HASH = "SELECT model, version, id, content_hash FROM versions WHERE registry = ? AND model = ? AND version = ?"
TOUCH = "UPDATE versions SET observed_at = ?1 WHERE id IN (SELECT value FROM json_each(?2))"
BEFORE = """
SELECT v.model, v.version, v.stage_since, v.stage_since_basis, v.set_by, v.approved_by, v.approved_at, v.observed_at,
  d.document
FROM json_each(?1) k CROSS JOIN versions v ON v.id = k.value JOIN version_documents d ON d.version_id = v.id"""

_COLUMNS = (
    "registry, model, version, version_sort, identity, stage, stage_rank, stage_since, stage_since_basis, set_by, "
    "approval, approved_by, approved_at, aliases, digest, digest_basis, content_hash, observed_at"
)
_RENEWED = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS.split(", ")[3:])
UPSERT = f"""
INSERT INTO versions ({_COLUMNS}) VALUES ({", ".join("?" * 18)})
ON CONFLICT (registry, model, version) DO UPDATE SET {_RENEWED} WHERE content_hash != excluded.content_hash"""  # noqa: S608  of constants
UPSERT_DOCUMENT = """
INSERT INTO version_documents (version_id, document) VALUES (?, ?)
ON CONFLICT (version_id) DO UPDATE SET document = excluded.document"""

DIGESTS = """
SELECT identity, value, basis FROM digests WHERE registry = ?1 AND identity IN (SELECT value FROM json_each(?2))"""
SETTINGS = f"""
SELECT t.model, t.version, t.identity, t.action, t.after, t.origin, t.actor, t.recorded_at
{_OF_KEYS.format(table="journal")} AND t.action IN ('stage_set', 'approval_set') ORDER BY t.sequence"""

KNOWN_MODELS = "SELECT name FROM models WHERE registry = ?1 AND name IN (SELECT value FROM json_each(?2))"
RANKED = """
SELECT model, id, versions FROM (
  SELECT model, id,
    row_number() OVER (PARTITION BY model ORDER BY stage_rank, version_sort DESC) AS place,
    count(*) OVER (PARTITION BY model) AS versions
  FROM versions WHERE registry = ?1 AND model IN (SELECT value FROM json_each(?2))
) WHERE place = 1"""
HOLDERS = """
SELECT v.model, l.key, v.version FROM versions v JOIN labels l ON l.version_id = v.id AND l.kind = 'stage'
WHERE v.registry = ?1 AND v.model IN (SELECT value FROM json_each(?2)) AND v.stage != 'none'
ORDER BY v.model, v.version_sort"""
SET_LEADING = "UPDATE models SET versions = ?, leading_id = ?, stages = ? WHERE registry = ? AND name = ?"

DELETE_LABELS = "DELETE FROM labels WHERE version_id = ?"
INSERT_LABEL = """
INSERT INTO labels (registry, kind, key, value, model, version_sort, version_id) VALUES (?, ?, ?, ?, ?, ?, ?)"""
