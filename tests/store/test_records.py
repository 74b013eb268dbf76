"""Overflow values, counterparts, digests and scan states."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection

from fedreg.domain.manifest import Basis, Digest, Manifest, ManifestEntry
from fedreg.domain.models import Version
from fedreg.domain.records import Counterpart, InventoryQuery, ScanState
from fedreg.store import counterparts, digests, index, overflow, scans
from fedreg.store.database import Store


def _set_digest(tx: Connection, identity: str, digest: Digest, files: Manifest | None, now: datetime) -> None:
    digests.set_digest(tx, "prod", identity, digest, files, now)


async def test_overflow(store: Store, noon: datetime) -> None:
    def fill(tx: Connection) -> None:
        for identity, field, value in (
            ("a", "tags", {"k": "v"}),
            ("a", "tags", {"k": "w"}),
            ("a", "note", None),
            ("model:churn", "tags", []),
        ):
            overflow.set_value(tx, "prod", identity, field, value, noon)

    await store.write(fill)
    found = await store.read(lambda c: overflow.get_values(c, "prod", ["a", "b", "model:churn"]))
    assert found == {"a": {"tags": {"k": "w"}, "note": None}, "model:churn": {"tags": []}}
    assert await store.read(lambda c: overflow.get_values(c, "dev", ["a"])) == {}
    assert await store.write(lambda tx: overflow.delete_value(tx, "prod", "a", "tags"))
    assert not await store.write(lambda tx: overflow.delete_value(tx, "prod", "a", "tags"))
    assert await store.read(lambda c: overflow.get_values(c, "prod", ["a"])) == {"a": {"note": None}}


async def test_counterparts(store: Store, noon: datetime) -> None:
    first = Counterpart(
        source_registry="dev",
        source_model="churn",
        source_version="3",
        source_identity="d3",
        target_registry="prod",
        target_model="churn",
        target_version="1",
        target_identity="p1",
        digest="sha256:aa",
        created_at=noon,
    )
    later = replace(first, target_model="churn-eu", target_identity="p9", created_at=noon + timedelta(days=1))

    def add_all(tx: Connection) -> None:
        for one in (first, later, first):
            counterparts.add(tx, one)

    await store.write(add_all)
    assert await store.read(lambda c: counterparts.find(c, "dev", "d3", "prod")) == later
    assert await store.read(lambda c: counterparts.find(c, "dev", "d3", "prod", "churn")) == first
    assert await store.read(lambda c: counterparts.find(c, "prod", "p1", "dev")) is None
    assert await store.read(lambda c: counterparts.list_for(c, "dev", "d3")) == [first, later]
    assert await store.read(lambda c: counterparts.list_for(c, "prod", "p1")) == [first]
    renewed = replace(first, target_version="2", digest="sha256:bb")
    await store.write(lambda tx: counterparts.add(tx, replace(renewed, created_at=noon + timedelta(days=9))))
    assert await store.read(lambda c: counterparts.list_for(c, "prod", "p1")) == [renewed]


async def test_a_weaker_digest_never_replaces_a_stronger_one(
    store: Store, noon: datetime, make_version: Callable[..., Version]
) -> None:
    read = Digest("sha256:" + "a" * 64, Basis.READ)
    claimed = Digest("sha256:" + "b" * 64, Basis.CLAIMED)
    manifest = Manifest.of([ManifestEntry("model.pkl", 3, "0" * 64)])
    version = make_version("1")
    await store.write(lambda tx: index.upsert_versions(tx, [version], noon))
    for digest, files in ((claimed, None), (read, manifest), (claimed, None)):
        await store.write(partial(_set_digest, identity=version.identity, digest=digest, files=files, now=noon))
    assert await store.read(lambda c: digests.get_digests(c, "prod", [version.identity, "x"])) == {
        version.identity: read
    }
    assert await store.read(lambda c: digests.get_manifest(c, "prod", version.identity)) == manifest
    assert await store.read(lambda c: digests.get_manifest(c, "prod", "x")) is None
    for wanted, found in ((read.value, ["1"]), ("a" * 64, ["1"]), (claimed.value, [])):
        rows, _ = await store.read(partial(index.list_rows, query=InventoryQuery(digest=wanted)))
        assert [row.version for row in rows] == found
    # what the registry claims later on does not hide what was read
    await store.write(lambda tx: index.upsert_versions(tx, [replace(version, digest=claimed)], noon))
    row = await store.read(lambda c: index.get_row(c, "prod", "churn", "1"))
    assert row is not None
    assert (row.digest, row.digest_basis) == (read.value, "read")


async def test_scan_states(store: Store, noon: datetime) -> None:
    state = ScanState(registry="prod", cursor="p2", sweep_started_at=noon)
    assert await store.read(lambda c: scans.get_state(c, "prod")) is None
    await store.write(lambda tx: scans.set_state(tx, state))
    assert await store.read(lambda c: scans.get_state(c, "prod")) == state
    done = ScanState(registry="prod", completed_at=noon, error={"code": "registry_error"})
    await store.write(lambda tx: scans.set_state(tx, done))
    assert await store.read(scans.list_states) == {"prod": done}
    await store.write(lambda tx: scans.delete_state(tx, "prod"))
    assert await store.read(scans.list_states) == {}
