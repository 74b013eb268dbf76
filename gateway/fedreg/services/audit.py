"""The journal as people read it: the history of one version or model, and the whole chain."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from fedreg.domain.errors import InvalidRequest, NotFound
from fedreg.domain.evidence import Fault, Head
from fedreg.domain.records import JournalEntry
from fedreg.domain.refs import Ref, SelectorKind
from fedreg.domain.reports import Verification
from fedreg.services.gateway import Gateway
from fedreg.services.selectors import resolve
from fedreg.store import chain, heads, journal

if TYPE_CHECKING:
    from fedreg.services.signing import Keys


async def list_history(
    gateway: Gateway, ref: Ref, *, limit: int = 1000, after_sequence: int | None = None
) -> list[JournalEntry]:
    """What happened to a version (by identity) or to a model and its versions, oldest first."""
    gateway.registries.manifest(ref.registry)
    if ref.selector is None:
        entries: list[JournalEntry] = await gateway.store.read(
            lambda conn: journal.list_entries(
                conn, registry=ref.registry, model=ref.model, after_sequence=after_sequence, limit=limit
            )
        )
        return entries
    version, identity = await _pin(gateway, ref)
    found: list[JournalEntry] = await gateway.store.read(
        lambda conn: journal.list_entries(
            conn,
            registry=ref.registry,
            model=ref.model,
            version=version,
            after_sequence=after_sequence,
            limit=limit,
        )
    )
    return [e for e in found if identity is None or e.change.identity in (None, identity)]


async def _pin(gateway: Gateway, ref: Ref) -> tuple[str, str | None]:
    """Version and identity; a version that is gone still has its history, by number."""
    try:
        version = await resolve(gateway, ref)
    except NotFound:
        if ref.selector is None or ref.selector.kind not in (SelectorKind.VERSION, SelectorKind.ANY):
            raise
        return ref.selector.value, None
    return version.version, version.identity


async def list_audit(
    gateway: Gateway,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    actor: str | None = None,
    model: str | None = None,
    after_sequence: int | None = None,
    limit: int = 1000,
) -> list[JournalEntry]:
    """The journal, oldest first."""
    entries: list[JournalEntry] = await gateway.store.read(
        lambda conn: journal.list_entries(
            conn, model=model, actor=actor, since=since, until=until, after_sequence=after_sequence, limit=limit
        )
    )
    return entries


async def verify_audit(gateway: Gateway, *, anchors: str | None = None, public_key: str | None = None) -> Verification:
    """Whether the journal is whole: by its chain, by the signed heads in the store, and by those outside of it.

    `anchors`: the lines of an anchor file, instead of the configured ones. `public_key`: PEM, instead of the
    configured key's. Raises InvalidRequest for anchors without any key, and for what is no key.
    """
    from fedreg.services.signing import read_head, sort_heads

    keys = await asyncio.to_thread(_find_keys, gateway, public_key)
    if not keys:
        if anchors is not None:
            raise InvalidRequest("anchors can't be checked without a key", cure="give public_key, or configure audit")
        return await gateway.store.read(chain.verify)
    store, stored = await gateway.store.read(lambda conn: (heads.get_store_id(conn), heads.list_heads(conn)))
    placed: list[tuple[str, Head | None]] = [(f"store:{head.sequence}", head) for head in stored]
    for name, text in await asyncio.to_thread(_read_anchors, gateway, anchors):
        if text is None and stored:
            placed.append((name, None))
        lines = (text or "").splitlines()
        placed += [(f"{name}:{at}", read_head(line)) for at, line in enumerate(lines, 1) if line.strip()]
    good, bad = await asyncio.to_thread(sort_heads, placed, keys, store)
    found: Verification = await gateway.store.read(lambda conn: chain.verify(conn, good))
    if not bad:
        return found
    if not found.ok:
        return replace(found, bad_heads=tuple(bad))
    detail = f"{bad[0].place}: {bad[0].why}"
    return replace(found, ok=False, fault=Fault.FORGED, detail=detail, bad_heads=tuple(bad))


def _find_keys(gateway: Gateway, public_key: str | None) -> Keys:
    """The public keys to check with: the given ones, else the configured key's, by id."""
    from fedreg.services.signing import load_key, read_keys, show_key

    if public_key is not None:
        return read_keys(public_key)
    key = None if gateway.audit is None or gateway.audit.key is None else load_key(gateway.audit.key)
    return {} if key is None else {show_key(key.public_key()).key_id: key.public_key()}


def _read_anchors(gateway: Gateway, given: str | None) -> list[tuple[str, str | None]]:
    """Names and texts of anchor files: the given one, else the configured ones; None for one that is not there."""
    if given is not None:
        return [("anchors", given)]
    files = [] if gateway.audit is None else [anchor.file for anchor in gateway.audit.anchors if anchor.file]
    return [(path.name, path.read_text(errors="replace") if path.exists() else None) for path in files]
