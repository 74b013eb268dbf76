"""Reads by key: kept while nothing changes, never after a commit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fedreg.domain.manifest import Basis, Digest
from fedreg.domain.models import Version
from fedreg.store import digests, index, overflow
from fedreg.store.database import Store

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.sqlite("reads by key are of a file")
async def test_what_is_kept_goes_with_the_next_commit(store: Store, make_version: Callable[..., Version]) -> None:
    version = make_version("1")
    key = (version.registry, version.model, version.version)
    assert store.keyed is not None
    assert store.keyed.get_version(*key) is None
    await store.write_index(lambda tx: index.upsert_versions(tx, [version], NOW))
    assert store.keyed.get_version(*key) == version
    assert store.keyed.get_version(*key) is store.keyed.get_version(*key)
    changed = replace(version, description="another")
    await store.write_index(lambda tx: index.upsert_versions(tx, [changed], NOW))
    assert store.keyed.get_version(*key) == changed


@pytest.mark.sqlite("reads by key are of a file")
async def test_what_the_gateway_holds(store: Store) -> None:
    digest = Digest("sha256:" + "0" * 64, Basis.READ)
    assert store.keyed is not None
    assert store.keyed.get_held("r", "i") == ({}, None)
    await store.write(lambda tx: overflow.set_value(tx, "r", "i", "description", "ours", NOW))
    assert store.keyed.get_held("r", "i") == ({"description": "ours"}, None)
    await store.write(lambda tx: digests.set_digest(tx, "r", "i", digest, None, NOW))
    values, known = store.keyed.get_held("r", "i")
    assert known == digest
    with pytest.raises(TypeError):
        values["description"] = "theirs"  # type: ignore[index]


async def test_a_reader_beside_the_owner_sees_every_change(tmp_path: Path) -> None:
    owner = await Store.open(f"sqlite:///{tmp_path}/x.db")
    reader = await Store.open(f"sqlite:///{tmp_path}/x.db", read_only=True)
    try:
        assert reader.keyed is not None
        assert reader.keyed.get_held("r", "i") == ({}, None)
        await owner.write(lambda tx: overflow.set_value(tx, "r", "i", "description", "ours", NOW))
        assert reader.keyed.get_held("r", "i") == ({"description": "ours"}, None)
    finally:
        await reader.aclose()
        await owner.aclose()
