"""A store in a real file, and makers of what goes into it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, Connection

from fedreg.domain.models import Model, Version
from fedreg.domain.records import Actor, Change, Intent, IntentKind, IntentState
from fedreg.store import connections, postgresql
from fedreg.store.database import Store
from fedreg.store.place import parse_url
from fedreg.store.upgrade import upgrade

SOAK = (pytest.mark.soak,)
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.fixture(scope="session")
def noon() -> datetime:
    return NOON


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """What works with a store works with both databases, but for what is marked `sqlite("why")`."""
    if "url" in metafunc.fixturenames:
        marked = metafunc.definition.get_closest_marker("sqlite")
        slow = metafunc.definition.path.name == "test_crash.py"
        both = ["sqlite", pytest.param("postgresql", marks=SOAK if slow else ())]
        metafunc.parametrize("database", ["sqlite"] if marked else both)


@pytest.fixture
def url(database: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """Where a store is to be made."""
    if database == "postgresql":
        return str(request.getfixturevalue("postgresql_url"))
    return f"sqlite:///{tmp_path / 'fedreg.db'}"


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=SOAK)])
def empty(request: pytest.FixtureRequest) -> Iterator[Connection]:
    """A writing connection to an empty store that a file's tests share."""
    if request.param == "postgresql":
        place = parse_url(request.getfixturevalue("shared_postgresql_url"))
        assert isinstance(place, URL)
        opened = postgresql.open_writer(place)
    else:
        place, opened = None, connections.open_writer(None)
    upgrade(opened, place)
    yield opened
    opened.close()


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    opened = await Store.open(url)
    yield opened
    await opened.aclose()


@pytest.fixture
def make_version() -> Callable[..., Version]:
    def make(version: str, model: str = "churn", registry: str = "prod", **fields: Any) -> Version:
        made = Version(registry=registry, model=model, version=version, identity=f"{registry}/{model}/{version}")
        return replace(made, **fields)

    return make


@pytest.fixture
def make_model() -> Callable[..., Model]:
    def make(name: str = "churn", registry: str = "prod", **fields: Any) -> Model:
        return Model(registry=registry, name=name, native_name=name, **fields)

    return make


@pytest.fixture
def make_change() -> Callable[..., Change]:
    def make(action: str = "stage_set", **fields: Any) -> Change:
        given = {"registry": "prod", "model": "churn", "version": "1", "actor": Actor(subject="ada"), **fields}
        return Change(action=action, **given)

    return make


@pytest.fixture
def make_intent() -> Callable[..., Intent]:
    def make(intent_id: str = "i1", **fields: Any) -> Intent:
        given = {
            "kind": IntentKind.PROMOTION,
            "state": IntentState.PENDING,
            "actor": Actor(subject="ada", authenticated=True),
            "plan": {"to": "production"},
            "created_at": NOON,
            "updated_at": NOON,
            **fields,
        }
        return Intent(id=intent_id, **given)

    return make
