"""A store in a real file, and makers of what goes into it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fedreg.domain.models import Model, Version
from fedreg.domain.records import Actor, Change, Intent, IntentKind, IntentState
from fedreg.store.database import Store

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.fixture(scope="session")
def noon() -> datetime:
    return NOON


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'fedreg.db'}"


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
