"""What SQLite and PostgreSQL spell differently, as constructs that SQLAlchemy compiles for whichever runs them.

Statements in the driver's own words are in `index_sql`, tables and triggers in the migrations, connections in
`connections` (SQLite) and `postgresql`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, Select, Table, Text, cast, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from fedreg.store.columns import canonical_json
from fedreg.store.globs import to_regex, to_sqlite_glob

POSTGRESQL = "postgresql"
WRITING = 0x_FED_4E6_0001
"""PostgreSQL's advisory lock of whoever writes: one at a time over all gateways, as SQLite has it by itself."""


def is_postgresql(connection: Connection) -> bool:
    return connection.dialect.name == POSTGRESQL


def insert(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that takes ON CONFLICT: the same words at both."""
    return postgresql.insert(table) if is_postgresql(connection) else sqlite.insert(table)


def listed(values: Collection[str]) -> Select[Any]:
    """Texts as a subquery for `IN`: one bound parameter, however many they are."""
    return select(_Each(canonical_json(list(values))).table_valued("value").c.value)


def listed_ids(values: Collection[int]) -> Select[Any]:
    """As `listed`, for row ids."""
    return select(cast(_Each(canonical_json(list(values))).table_valued("value").c.value, BigInteger))


def matches_glob(name: ColumnElement[Any], glob: str) -> ColumnElement[bool]:
    """Whether a text is what `fnmatch.fnmatchcase` matches."""
    return _Glob(name, to_sqlite_glob(glob), to_regex(glob))


def contains(text: ColumnElement[Any], part: str) -> ColumnElement[bool]:
    """Whether a text has a part, letter by letter."""
    return _Contains(text, part, _to_like(part))


def contains_words(text: ColumnElement[Any], words: Collection[str]) -> ColumnElement[bool]:
    """Whether a searched text has all these words, of three letters at least, by whatever index there is."""
    phrases = " ".join('"' + word.replace('"', '""') + '"' for word in words)
    return _Words(text, phrases, *(_to_like(word) for word in words))


def json_text(document: ColumnElement[Any], key: str) -> ColumnElement[str]:
    """A text in a JSON object, NULL where it is null."""
    return _JsonText(document, key, f"$.{key}")


def json_number(document: ColumnElement[Any], key: str) -> ColumnElement[int]:
    """A whole number in a JSON object, NULL where it is null."""
    return cast(json_text(document, key), BigInteger)


def json_flag(document: ColumnElement[Any], key: str) -> ColumnElement[bool]:
    """A truth value in a JSON object."""
    return _JsonFlag(document, key, f"$.{key}")


class _Each(FunctionElement[Any]):
    inherit_cache = True


# Without a type, for SQLite's compiler would write `… = 1` behind a Boolean, past which it uses no index.
class _Glob(FunctionElement[Any]):
    inherit_cache = True


class _Contains(FunctionElement[Any]):
    inherit_cache = True


class _Words(FunctionElement[Any]):
    inherit_cache = True


class _JsonText(FunctionElement[str]):
    type = Text()
    inherit_cache = True


class _JsonFlag(FunctionElement[Any]):
    inherit_cache = True


def _compile(element: FunctionElement[Any], compiler: SQLCompiler, template: str, *wanted: int) -> str:
    """The template with some of the arguments; one that is not asked for binds nothing."""
    arguments = list(element.clauses)
    return template.format(*(compiler.process(arguments[at]) for at in wanted))


@compiles(_Each)
def _each(element: _Each, compiler: SQLCompiler, **_: Any) -> str:
    return _compile(element, compiler, "json_each({})", 0)


@compiles(_Each, POSTGRESQL)
def _each_postgresql(element: _Each, compiler: SQLCompiler, **_: Any) -> str:
    return _compile(element, compiler, "json_array_elements_text(CAST({} AS JSON))", 0)


@compiles(_Glob)
def _glob(element: _Glob, compiler: SQLCompiler, **_: Any) -> str:
    return _compile(element, compiler, "({} GLOB {})", 0, 1)


@compiles(_Glob, POSTGRESQL)
def _glob_postgresql(element: _Glob, compiler: SQLCompiler, **_: Any) -> str:
    return _compile(element, compiler, "({} ~ {})", 0, 2)


@compiles(_Contains)
def _contains(element: _Contains, compiler: SQLCompiler, **_: Any) -> str:
    return _compile(element, compiler, "(instr({}, {}) > 0)", 0, 1)


@compiles(_Contains, POSTGRESQL)
def _contains_postgresql(element: _Contains, compiler: SQLCompiler, **_: Any) -> str:
    return _compile(element, compiler, "({} LIKE {})", 0, 2)


@compiles(_Words)
def _words(element: _Words, compiler: SQLCompiler, **_: Any) -> str:
    return _compile(element, compiler, "({} MATCH {})", 0, 1)


@compiles(_Words, POSTGRESQL)
def _words_postgresql(element: _Words, compiler: SQLCompiler, **_: Any) -> str:
    each = (_compile(element, compiler, "{} LIKE {}", 0, at) for at in range(2, len(list(element.clauses))))
    return f"({' AND '.join(each)})"


@compiles(_JsonText)
def _json_text(element: _JsonText, compiler: SQLCompiler, **_: Any) -> str:
    return _compile(element, compiler, "json_extract({}, {})", 0, 2)


@compiles(_JsonText, POSTGRESQL)
def _json_text_postgresql(element: _JsonText, compiler: SQLCompiler, **_: Any) -> str:
    return _compile(element, compiler, "(CAST({} AS JSON) ->> {})", 0, 1)


@compiles(_JsonFlag)
def _json_flag(element: _JsonFlag, compiler: SQLCompiler, **_: Any) -> str:
    return _compile(element, compiler, "(json_extract({}, {}) = 1)", 0, 2)


@compiles(_JsonFlag, POSTGRESQL)
def _json_flag_postgresql(element: _JsonFlag, compiler: SQLCompiler, **_: Any) -> str:
    return _compile(element, compiler, "CAST(CAST({} AS JSON) ->> {} AS BOOLEAN)", 0, 1)


def _to_like(part: str) -> str:
    escaped = part.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"
