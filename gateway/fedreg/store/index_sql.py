"""The statements that write the index, as SQL for the driver.

Why not SQLAlchemy's: building, keying and binding some twenty statements took 12 ms of every promotion, and a
refresh spent half its time on column types. The driver knows none: instants are bound as microseconds and JSON as
canonical text (see `columns`). Keys, however many, are one JSON array.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from fedreg.store.dialects import is_postgresql

_COLUMNS = (
    "registry, model, version, version_sort, identity, stage, stage_rank, stage_since, stage_since_basis, set_by, "
    "approval, approved_by, approved_at, aliases, digest, digest_basis, content_hash, observed_at"
)
_RENEWED = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS.split(", ")[3:])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spelling:
    """What differs: a parameter, a parameter as text, and the rows of a JSON array of texts, of ids and of pairs.

    Rows are called `k`; `first` and `second` are the halves of a pair.
    """

    bound: str
    bound_text: str
    texts: str
    ids: str
    pairs: str
    first: str
    second: str


_SQLITE = _Spelling(
    bound="?",
    bound_text="?",
    texts="json_each(?) k",
    ids="json_each(?) k",
    pairs="json_each(?) k",
    first="json_extract(k.value, '$[0]')",
    second="json_extract(k.value, '$[1]')",
)
_POSTGRESQL = _Spelling(
    bound="%s",
    bound_text="CAST(%s AS TEXT)",
    texts="json_array_elements_text(CAST(%s AS JSON)) k",
    ids="(SELECT CAST(value AS BIGINT) AS value FROM json_array_elements_text(CAST(%s AS JSON))) k",
    pairs="json_array_elements(CAST(%s AS JSON)) k",
    first="(k.value ->> 0)",
    second="(k.value ->> 1)",
)


class Statements:
    """The statements in one dialect; each names its parameters in their order."""

    def __init__(self, spelling: _Spelling) -> None:
        p = spelling.bound
        mine = f"registry = {p} AND {{column}} IN (SELECT k.value FROM {spelling.texts})"
        # registry, keys: SQLite keeps the order of a CROSS JOIN; from the other end it would read the whole registry
        # once per key.
        of_keys = (
            f"FROM (SELECT {spelling.bound_text} AS registry) r CROSS JOIN {spelling.pairs} "
            f"CROSS JOIN {{table}} t WHERE t.registry = r.registry "
            f"AND t.model = {spelling.first} AND t.version = {spelling.second}"
        )
        self.hashes = (
            f"SELECT t.model, t.version, t.id, t.content_hash {of_keys.format(table='versions')}"  # registry, keys
        )
        self.one_hash = (  # registry, model, version
            "SELECT model, version, id, content_hash FROM versions "
            f"WHERE registry = {p} AND model = {p} AND version = {p}"
        )
        self.touch = (
            f"UPDATE versions SET observed_at = {p} WHERE id IN (SELECT k.value FROM {spelling.ids})"  # at, ids
        )
        self.before = (  # ids
            "SELECT v.model, v.version, v.stage_since, v.stage_since_basis, v.set_by, v.approved_by, v.approved_at, "
            f"v.observed_at, d.document FROM {spelling.ids} "
            "CROSS JOIN versions v JOIN version_documents d ON d.version_id = v.id WHERE v.id = k.value"
        )
        self.upsert = (  # the columns
            f"INSERT INTO versions ({_COLUMNS}) VALUES ({', '.join([p] * 18)}) ON CONFLICT (registry, model, version) "
            f"DO UPDATE SET {_RENEWED} WHERE versions.content_hash != excluded.content_hash"
        )
        self.upsert_document = (  # id, document
            f"INSERT INTO version_documents (version_id, document) VALUES ({p}, {p}) "
            "ON CONFLICT (version_id) DO UPDATE SET document = excluded.document"
        )
        self.digests = f"SELECT identity, value, basis FROM digests WHERE {mine.format(column='identity')}"
        self.settings = (  # registry, keys
            "SELECT t.model, t.version, t.identity, t.action, t.after, t.origin, t.actor, t.recorded_at "
            f"{of_keys.format(table='journal')} AND t.action IN ('stage_set', 'approval_set') ORDER BY t.sequence"
        )
        latest = (
            "SELECT * FROM (SELECT model, version, identity, action, after, origin, actor, recorded_at FROM journal "
            f"WHERE registry = {p} AND model = {p} AND version = {p} AND (identity IS NULL OR identity = {p}) "
            "AND action = '{action}' ORDER BY sequence DESC LIMIT 1) {action}"
        )
        self.one_settings = (  # registry, model, version, identity; and once more: the history of one may be long
            f"{latest.format(action='stage_set')} UNION ALL {latest.format(action='approval_set')}"
        )
        self.known_models = f"SELECT name FROM models WHERE {mine.format(column='name')}"
        self.ranked = (  # registry, models
            "SELECT model, id, versions FROM (SELECT model, id, "
            "row_number() OVER (PARTITION BY model ORDER BY stage_rank, version_sort DESC) AS place, "
            "count(*) OVER (PARTITION BY model) AS versions "
            f"FROM versions WHERE {mine.format(column='model')}) r WHERE place = 1"
        )
        self.holders = (  # registry, models
            "SELECT v.model, l.key, v.version FROM versions v "
            "JOIN labels l ON l.version_id = v.id AND l.kind = 'stage' "
            f"WHERE v.{mine.format(column='v.model')} AND v.stage != 'none' ORDER BY v.model, v.version_sort"
        )
        self.set_leading = (  # versions, leading id, stages, registry, name
            f"UPDATE models SET versions = {p}, leading_id = {p}, stages = {p} WHERE registry = {p} AND name = {p}"
        )
        self.delete_labels = f"DELETE FROM labels WHERE version_id = {p}"
        self.insert_label = (  # registry, kind, key, value, model, version_sort, version_id
            "INSERT INTO labels (registry, kind, key, value, model, version_sort, version_id) "
            f"VALUES ({', '.join([p] * 7)})"
        )


_FOR_SQLITE, _FOR_POSTGRESQL = Statements(_SQLITE), Statements(_POSTGRESQL)


def of(connection: Connection) -> Statements:
    """The statements as this connection's database takes them."""
    return _FOR_POSTGRESQL if is_postgresql(connection) else _FOR_SQLITE
